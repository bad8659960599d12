-- What clocks said when old things were last looked through: believed, the latest time that was taken for right (0: none yet);
-- from and until, since when and how far a clock has gone on that was not.
CREATE TABLE calendar (
    id             BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    believed       BIGINT NOT NULL,
    doubted_from   BIGINT,
    doubted_until  BIGINT,
    CHECK ((doubted_from IS NULL) = (doubted_until IS NULL))
);

INSERT INTO calendar (id, believed) VALUES (1, 0);
