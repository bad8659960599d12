-- record: what nodes get, as it stands in pages; none on a tombstone. record_revision: the revision that it is of. Where
-- that is not the row's own, the record was not written yet, and is no longer what nodes should get.
ALTER TABLE published ADD COLUMN record BLOB;
ALTER TABLE published ADD COLUMN record_revision INTEGER NOT NULL DEFAULT 0;

CREATE INDEX published_without_record ON published (table_code, revision)
    WHERE removed_at IS NULL AND record_revision <> revision;
