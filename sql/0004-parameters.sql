-- 0004-parameters.sql - parameters that change within an interval make two rows.
--
-- Rows of different parameters never merge, so a series has a row for each set of
-- them in the interval in which a reload changed its class.

SET LOCAL ROLE plumbline_owner;

ALTER TABLE plumbline_store.interval_row DROP CONSTRAINT interval_row_pkey;
ALTER TABLE plumbline_store.interval_row ADD PRIMARY KEY (series_id, start, params_id);

RESET ROLE;
