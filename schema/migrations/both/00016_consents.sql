-- +goose Up
-- What a person reads in the app, whatever session they read it by.
ALTER TABLE notices DROP CONSTRAINT notices_channel_check;
ALTER TABLE notices ADD CHECK (channel IN ('mail', 'sms', 'inbox') AND (channel <> 'inbox' OR user_id IS NOT NULL));
ALTER TABLE notices DROP CONSTRAINT notices_state_check;
ALTER TABLE notices ADD CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'unknown', 'expired', 'shown', 'unwanted'));
CREATE INDEX notices_inbox ON notices (user_id, id) WHERE channel = 'inbox';

-- What people said to documents that they were asked to agree to: their last word
-- on a kind counts. The documents are in the binary; hash is of the text.
CREATE TABLE consents (
    id      uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    kind    text NOT NULL,
    version integer NOT NULL,
    hash    bytea NOT NULL,
    act     text NOT NULL CHECK (act IN ('given', 'withdrawn')),
    means   text NOT NULL CHECK (means IN ('list', 'questionnaire')),
    session uuid,
    address text,
    agent   text,
    at      timestamptz NOT NULL
);
CREATE INDEX consents_of_user ON consents (user_id, kind, id);

-- They are proof, and so added to and never changed; but from where somebody said
-- it is taken out when the person is erased.
-- +goose StatementBegin
CREATE FUNCTION consents_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_LEVEL = 'ROW'
       AND to_jsonb(NEW) = to_jsonb(OLD) || '{"session": null, "address": null, "agent": null}'
       AND EXISTS (SELECT FROM users WHERE id = OLD.user_id AND erased IS NOT NULL) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'consents are added to and never changed';
END $$;
-- +goose StatementEnd
CREATE TRIGGER consents_kept BEFORE UPDATE OR DELETE ON consents
    FOR EACH ROW EXECUTE FUNCTION consents_append_only();
CREATE TRIGGER consents_not_emptied BEFORE TRUNCATE ON consents
    FOR EACH STATEMENT EXECUTE FUNCTION consents_append_only();

-- What names a file names one that is there. A file that leaves with its owner
-- leaves nothing behind; one that a document rests on is not deleted by itself
-- (schema.Files.Delete).
UPDATE documents d SET file = NULL WHERE file IS NOT NULL AND NOT EXISTS (SELECT FROM files f WHERE f.id = d.file);
UPDATE drivers d SET photo = NULL WHERE photo IS NOT NULL AND NOT EXISTS (SELECT FROM files f WHERE f.id = d.photo);
ALTER TABLE documents ADD FOREIGN KEY (file) REFERENCES files ON DELETE SET NULL;
ALTER TABLE drivers ADD FOREIGN KEY (photo) REFERENCES files ON DELETE SET NULL;
CREATE INDEX documents_file ON documents (file) WHERE file IS NOT NULL;
CREATE INDEX drivers_photo ON drivers (photo) WHERE photo IS NOT NULL;
