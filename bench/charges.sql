-- SPDX-License-Identifier: GPL-3.0-or-later
-- A double-entry ledger by hand, as fast as its author could make it: a charge
-- is one row with both its accounts, keyed by the caller's id, so that the same
-- again does nothing; balances are kept; pages have room for updates in place.
CREATE TABLE account (
    id integer PRIMARY KEY,
    balance bigint NOT NULL,
    floor bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE charge (
    id uuid PRIMARY KEY,
    debit integer NOT NULL,
    credit integer NOT NULL,
    micro bigint NOT NULL CHECK (micro > 0),
    at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO account
    SELECT n, CASE WHEN n <= 2000 THEN 1000000000000 ELSE 0 END, 0
    FROM generate_series(1, 2200) AS n;

-- The balance behind it; NULL: it was done already.
CREATE FUNCTION charge(key uuid, debit integer, credit integer, micro bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    left_over bigint;
BEGIN
    INSERT INTO charge VALUES (key, debit, credit, micro)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE account SET balance = balance - charge.micro
        WHERE id = charge.debit AND balance - charge.micro >= floor
        RETURNING balance INTO left_over;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'not enough money';
    END IF;
    UPDATE account SET balance = balance + charge.micro
        WHERE id = charge.credit;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such account';
    END IF;
    RETURN left_over;
END
$$;
VACUUM ANALYZE account;
