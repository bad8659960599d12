-- limit_factor: what every limit is multiplied by for the time being, in thousandths.
ALTER TABLE service ADD COLUMN limit_factor INTEGER NOT NULL DEFAULT 1000 CHECK (limit_factor BETWEEN 1 AND 10000);
