-- record: what nodes get, as it stands in pages; none on a tombstone. record_revision: the revision that it is of. Where
-- that is not the row's own, the record was not written yet (a service of an older version knows nothing of it), and is no
-- longer what nodes should get.
ALTER TABLE published ADD COLUMN record BYTEA;
ALTER TABLE published ADD COLUMN record_revision BIGINT NOT NULL DEFAULT 0;

CREATE INDEX published_without_record ON published (table_code, revision)
    WHERE removed_at IS NULL AND record_revision <> revision;
