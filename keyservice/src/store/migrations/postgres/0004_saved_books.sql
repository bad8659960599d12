-- The books of the fleet's quotas as a service left them when it ended in good order: at most one row, which the next takes out.
CREATE TABLE saved_books (
    id    BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    books TEXT   NOT NULL
);
