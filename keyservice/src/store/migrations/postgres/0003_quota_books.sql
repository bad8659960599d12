-- books_kept: whether the books of the fleet's quotas were ever kept.
ALTER TABLE service ADD COLUMN books_kept BIGINT NOT NULL DEFAULT 0 CHECK (books_kept IN (0, 1));
