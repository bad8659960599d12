-- token: with what token the change was asked for, as its role and name; none where there was none.
ALTER TABLE audit ADD COLUMN token TEXT COLLATE "C";
