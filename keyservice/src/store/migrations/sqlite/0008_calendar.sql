-- What clocks said when old things were last looked through: believed, the latest time that was taken for right (0: none yet);
-- from and until, since when and how far a clock has gone on that was not.
CREATE TABLE calendar (
    id             INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    believed       INTEGER NOT NULL,
    doubted_from   INTEGER,
    doubted_until  INTEGER,
    CHECK ((doubted_from IS NULL) = (doubted_until IS NULL))
) STRICT;

INSERT INTO calendar (id, believed) VALUES (1, 0);
