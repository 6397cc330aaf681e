-- +goose Up
-- Who pays by invoice. blocked says since when nothing new is booked on their
-- account, because a statement is overdue. Amounts are in the smallest unit.
CREATE TABLE organisations (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    vat_number   text NOT NULL,
    address      text[] NOT NULL,
    credit_limit bigint NOT NULL CHECK (credit_limit >= 0),
    terms_days   integer NOT NULL CHECK (terms_days BETWEEN 0 AND 120),
    approval     boolean NOT NULL,
    order_needed boolean NOT NULL,
    version      bigint NOT NULL DEFAULT 1,
    created      timestamptz NOT NULL,
    blocked      timestamptz
);

-- Who books on the account of an organisation: of one alone.
CREATE TABLE organisation_members (
    user_id         uuid PRIMARY KEY REFERENCES users,
    organisation_id uuid NOT NULL REFERENCES organisations,
    role            text NOT NULL CHECK (role IN ('member', 'approver')),
    added           timestamptz NOT NULL
);
CREATE INDEX organisation_members_organisation ON organisation_members (organisation_id);

-- What an organisation owes for what had ended by the end of a month, and was on no
-- statement before. The paper is the invoice of the same id.
CREATE TABLE statements (
    id              uuid PRIMARY KEY REFERENCES invoices,
    organisation_id uuid NOT NULL REFERENCES organisations,
    month           date NOT NULL,
    due             date NOT NULL,
    total           bigint NOT NULL CHECK (total > 0),
    currency        text NOT NULL,
    reminded        smallint NOT NULL DEFAULT 0,
    paid            timestamptz,
    paid_by         uuid REFERENCES users,
    reference       text NOT NULL DEFAULT '',
    UNIQUE (organisation_id, month)
);
CREATE INDEX statements_unpaid ON statements (due) WHERE paid IS NULL;

-- The bookings that are on an account. stated is how much of it is on statements.
CREATE TABLE account_bookings (
    booking_id      uuid PRIMARY KEY REFERENCES bookings,
    organisation_id uuid NOT NULL REFERENCES organisations,
    purchase_order  text NOT NULL,
    cost_centre     text NOT NULL,
    approved        timestamptz,
    approved_by     uuid REFERENCES users,
    stated          bigint NOT NULL DEFAULT 0
);
CREATE INDEX account_bookings_organisation ON account_bookings (organisation_id, booking_id);

ALTER TABLE invoices ADD COLUMN organisation_id uuid REFERENCES organisations;
CREATE INDEX invoices_organisation ON invoices (organisation_id, id) WHERE organisation_id IS NOT NULL;

-- Who pays as a member, by Stripe Billing: state is the subscription's. Of a person's
-- memberships one has not ended.
CREATE TABLE memberships (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users,
    stripe_id  text UNIQUE,
    state      text NOT NULL CHECK (state IN ('new', 'incomplete', 'trialing', 'active', 'past_due', 'ended')),
    attempt    integer NOT NULL DEFAULT 1,
    until      timestamptz,
    cancelling boolean NOT NULL DEFAULT false,
    created    timestamptz NOT NULL,
    changed    timestamptz NOT NULL
);
CREATE UNIQUE INDEX memberships_open ON memberships (user_id) WHERE state <> 'ended';
CREATE INDEX memberships_user ON memberships (user_id, id);
