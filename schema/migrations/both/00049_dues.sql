-- +goose Up
-- An invoice is of a booking, or of what a member has paid by a charge.
ALTER TABLE invoices DROP CONSTRAINT invoices_check2,
    ADD CONSTRAINT invoices_whose_check CHECK (kind = 'statement' OR user_id IS NOT NULL AND (booking_id IS NOT NULL OR cause LIKE 'membership/%'));
