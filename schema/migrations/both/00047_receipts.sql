-- +goose Up
-- Papers about an invoice that was issued: beside credit notes, a debit note takes one
-- back, of a refund that has failed, and a receipt says that what was due was paid.
ALTER TABLE invoices DROP CONSTRAINT invoices_kind_check, DROP CONSTRAINT invoices_check1,
    ADD CONSTRAINT invoices_kind_check CHECK (kind IN ('invoice', 'credit_note', 'debit_note', 'receipt', 'statement')),
    ADD CONSTRAINT invoices_corrects_check CHECK ((corrects IS NOT NULL) = (kind IN ('credit_note', 'debit_note', 'receipt')));
