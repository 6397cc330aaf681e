-- +goose Up
-- The notice that carried an invitation is addressed to somebody without an account:
-- it is found, and erased, by the invitation of whoever asked them.
ALTER TABLE contact_invitations ADD COLUMN notice uuid REFERENCES notices ON DELETE SET NULL;
CREATE INDEX contact_invitations_notice ON contact_invitations (notice) WHERE notice IS NOT NULL;
