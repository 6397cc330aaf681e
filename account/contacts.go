package account

import (
	"context"
	"regexp"
	"time"

	"armora/fleet"
	"armora/schema"
)

// AskEmail sends a code to the address that a person wants to change to. If it
// is somebody's, that one is told instead, and the caller learns nothing of it.
func (p *People) AskEmail(ctx context.Context, c *Caller, typed string) error {
	email, err := address(typed)
	if err != nil {
		return err
	}
	if err := p.limitCodes(ctx, c.User, email); err != nil {
		return err
	}
	now, digits := p.clock.Now(), newDigits()
	change, err := p.notice(email, "change_email", map[string]string{"code": digits}, now.Add(codeLife))
	if err != nil {
		return err
	}
	exists, err := p.notice(email, "account_exists", nil, now.Add(noticeLife))
	if err != nil {
		return err
	}
	change.User = c.User
	return p.contacts.AskEmail(ctx, c.User, p.contactCode(schema.ChangeEmail, c.User, digits, email, now), change, exists)
}

// ChangeEmail puts the address in force that the code was sent to. The person is
// told, by mail to both.
func (p *People) ChangeEmail(ctx context.Context, c *Caller, digits, peer string) error {
	return p.changeContact(ctx, c, peer, func(email string) error {
		told := p.telling("email_changed", nil, email)
		return p.contacts.ChangeEmail(ctx, email, p.contactHash(schema.ChangeEmail, c.User, digits), told, p.clock.Now())
	})
}

// phoneNumber is E.164.
var phoneNumber = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// AskPhone sends a code to the number that a person wants to have, by text
// message.
func (p *People) AskPhone(ctx context.Context, c *Caller, number string) error {
	if !phoneNumber.MatchString(number) {
		return invalid("a telephone number is written like +442071838750")
	}
	if err := p.limitCodes(ctx, c.User, number); err != nil {
		return err
	}
	now, digits := p.clock.Now(), newDigits()
	n, err := p.notice(number, "verify_phone", map[string]string{"code": digits}, now.Add(codeLife))
	if err != nil {
		return err
	}
	n.Channel, n.User = fleet.SMSChannel, c.User
	return p.contacts.AskPhone(ctx, c.User, p.contactCode(schema.VerifyPhone, c.User, digits, number, now), n)
}

// ChangePhone puts the number in force that the code was sent to. The person is
// told.
func (p *People) ChangePhone(ctx context.Context, c *Caller, digits, peer string) error {
	return p.changeContact(ctx, c, peer, func(email string) error {
		told := p.telling("phone_changed", nil)
		return p.contacts.ChangePhone(ctx, email, p.contactHash(schema.VerifyPhone, c.User, digits), told, p.clock.Now())
	})
}

func (p *People) changeContact(ctx context.Context, c *Caller, peer string, change func(email string) error) error {
	user, err := p.users.Get(ctx, c.User)
	if err != nil {
		return err
	}
	err = p.guess(ctx, user.Email, peer, change)
	if fleet.CodeOf(err) == fleet.CodeUnauthenticated {
		return invalid("the code is wrong or has expired") // who the caller is was never in doubt
	}
	return err
}

// limitCodes bounds what a person can have sent, and what an address or a number
// can be sent: text messages cost money, and mail annoys.
func (p *People) limitCodes(ctx context.Context, user fleet.UserID, to string) error {
	const free = 3
	by := schema.Guessed{Target: p.keyring.Hash("codes/by/" + user.String()), Free: free, Most: time.Hour}
	at := schema.Guessed{Target: p.keyring.Hash("codes/to/" + to), Free: free, Most: time.Hour}
	return p.guesses.Guess(ctx, p.clock.Now(), by, at)
}

func (p *People) contactCode(purpose schema.CodePurpose, user fleet.UserID, digits, target string, now time.Time) schema.Code {
	return schema.Code{
		Purpose: purpose, Hash: p.contactHash(purpose, user, digits), Target: target, Created: now, Expires: now.Add(codeLife),
	}
}

// contactHash is that of a code for a person who has signed in.
func (p *People) contactHash(purpose schema.CodePurpose, user fleet.UserID, digits string) []byte {
	return p.codeHash(purpose, user.String(), digits)
}
