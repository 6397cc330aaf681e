package account

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net/mail"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"

	"armora/fleet"
	"armora/schema"
)

// PeopleConfig is what People needs. All but Cost is required.
type PeopleConfig struct {
	DB       *schema.DB
	Keyring  *Keyring
	Sessions *Sessions
	Clock    fleet.Clock
	Cost     *argon2id.Params // of hashing a password; nil: argon2id.DefaultParams
}

// People register, sign in, and look after their passwords and second factors.
// Nothing that it answers, nor how long it takes, tells whether an address has
// an account. It is safe for concurrent use.
type People struct {
	db        *schema.DB
	passwords schema.Passwords
	totps     schema.TOTPs
	guesses   schema.Guesses
	users     schema.Users
	contacts  schema.Contacts
	sessions  *Sessions
	hasher    *hasher
	teller    // with the keyring and the clock
}

// NewPeople returns the people of a hub.
func NewPeople(cfg PeopleConfig) *People {
	return &People{
		db:        cfg.DB,
		passwords: schema.Passwords{DB: cfg.DB}, totps: schema.TOTPs{DB: cfg.DB},
		guesses: schema.Guesses{DB: cfg.DB}, users: schema.Users{DB: cfg.DB}, contacts: schema.Contacts{DB: cfg.DB},
		sessions: cfg.Sessions, hasher: newHasher(cfg.Cost), teller: teller{cfg.Keyring, cfg.Clock},
	}
}

const codeLife = 15 * time.Minute // of a code that is sent to a person

// Registration is what a person gives to get an account.
type Registration struct {
	Email    string
	Password string
	Name     string
	Peer     string // the address that it comes from
}

// Register begins an account and sends its code, or tells the owner of one that
// is there already. The caller learns only what is wrong with the registration
// itself.
func (p *People) Register(ctx context.Context, r Registration) error {
	email, err := address(r.Email)
	if err != nil {
		return err
	}
	if err := checkPassword(r.Password, email); err != nil {
		return err
	}
	if err := p.limitMails(ctx, email, r.Peer); err != nil {
		return err
	}
	hash, err := p.hasher.hash(ctx, r.Password)
	if err != nil {
		return err
	}
	now := p.clock.Now()
	digits := newDigits()
	code := p.code(schema.VerifyEmail, email, digits, now)
	code.Password = hash
	verify, err := p.notice(email, "verify_email", map[string]string{"code": digits}, now.Add(codeLife))
	if err != nil {
		return err
	}
	exists, err := p.notice(email, "account_exists", nil, now.Add(noticeLife))
	if err != nil {
		return err
	}
	return p.passwords.Register(ctx, fleet.User{
		ID: fleet.NewID[fleet.User](), Email: email, Name: strings.TrimSpace(r.Name), Roles: []fleet.Role{fleet.RoleRider}, Created: now,
	}, code, verify, exists)
}

// VerifyEmail puts an account in force and signs its owner in.
func (p *People) VerifyEmail(ctx context.Context, email, digits string, from Where) (Tokens, fleet.User, error) {
	var user fleet.UserID
	err := p.guess(ctx, email, from.Address, func(email string) (err error) {
		user, err = p.passwords.Verify(ctx, email, p.codeHash(schema.VerifyEmail, email, digits), p.clock.Now())
		return err
	})
	if err != nil {
		return Tokens{}, fleet.User{}, err
	}
	return p.begin(ctx, SignIn{User: user, Method: fleet.ByEmail, Where: from})
}

// Login is what a person shows to sign in.
type Login struct {
	Email    string
	Password string
	OTP      string // of the second factor, or a recovery code; "" if none
}

// errBadLogin is the same whatever is wrong.
var errBadLogin = &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "e-mail, password or code is wrong"}

// Login signs a person in. It fails with CodeOTPNeeded when all is right but a
// second factor is to be shown, and with CodeTooMany when somebody guesses.
func (p *People) Login(ctx context.Context, l Login, from Where) (Tokens, fleet.User, error) {
	var proof schema.Proof
	err := p.guess(ctx, l.Email, from.Address, func(email string) (err error) {
		proof, err = p.passwords.Proof(ctx, email)
		if fleet.CodeOf(err) == fleet.CodeNotFound {
			err = nil // and so there is no password that matches
		}
		if err != nil {
			return err
		}
		return p.check(ctx, &proof, l.Password, l.OTP)
	})
	if err != nil {
		return Tokens{}, fleet.User{}, err
	}
	return p.begin(ctx, SignIn{
		User: proof.User.ID, Method: fleet.ByPassword, SecondFactor: proof.TOTP != nil, Where: from, password: proof.Password,
	})
}

// check reports whether a password and, where there is one, a second factor are
// the person's. A person who may not sign in has none.
func (p *People) check(ctx context.Context, proof *schema.Proof, password, otp string) error {
	hash := proof.Password
	if proof.User.EmailVerified.IsZero() || !proof.User.Suspended.IsZero() {
		hash = ""
	}
	ok, err := p.hasher.matches(ctx, password, hash)
	if err != nil {
		return err
	}
	if !ok {
		return errBadLogin
	}
	if proof.TOTP == nil {
		return nil
	}
	if otp == "" {
		return &fleet.Error{Code: fleet.CodeOTPNeeded, Message: "a code of the second factor is needed too"}
	}
	return p.secondFactor(ctx, proof.User.ID, proof.TOTP, otp)
}

// Reauthenticate notes in a session that its person has just proved who they
// are, with all that a login takes.
func (p *People) Reauthenticate(ctx context.Context, c *Caller, password, otp, from string) error {
	proof, err := p.passwords.ProofOf(ctx, c.User)
	if err != nil {
		return err
	}
	err = p.guess(ctx, proof.User.Email, from, func(string) error { return p.check(ctx, &proof, password, otp) })
	if err != nil {
		return err
	}
	return p.sessions.Prove(ctx, c.User, c.Session, proof.TOTP != nil)
}

// Get returns a person.
func (p *People) Get(ctx context.Context, id fleet.UserID) (fleet.User, error) {
	return p.users.Get(ctx, id)
}

func (p *People) begin(ctx context.Context, in SignIn) (Tokens, fleet.User, error) {
	tokens, err := p.sessions.Begin(ctx, in)
	if err != nil {
		return Tokens{}, fleet.User{}, err
	}
	user, err := p.users.Get(ctx, in.User)
	return tokens, user, err
}

// guess runs a check of something that can be guessed, for which too many wrong
// guesses make everybody wait.
func (p *People) guess(ctx context.Context, typed, peer string, check func(email string) error) error {
	email := strings.ToLower(strings.TrimSpace(typed))
	account, err := p.mailbox(ctx, "guess/account/", email, peer)
	if err != nil {
		return err
	}
	at := schema.Guessed{Target: account, Free: 4, Most: 10 * time.Second}
	from := schema.Guessed{Target: p.keyring.Hash("guess/source/" + Network(peer)), Free: 30, Most: time.Minute}
	if err := p.guesses.Guess(ctx, p.clock.Now(), at, from); err != nil {
		return err
	}
	if err := check(email); err != nil {
		return err
	}
	return p.guesses.Right(ctx, at, from)
}

// limitMails bounds what people who have not signed in can have sent, and what an
// address can be sent: each code is a few more guesses, and mail annoys. Whether the
// address has an account makes no difference.
func (p *People) limitMails(ctx context.Context, email, peer string) error {
	mailbox, err := p.mailbox(ctx, "codes/to/", email, peer)
	if err != nil {
		return err
	}
	at := schema.Guessed{Target: mailbox, Free: 5, Most: time.Hour}
	from := schema.Guessed{Target: p.keyring.Hash("codes/source/" + Network(peer)), Free: 30, Most: time.Minute}
	return p.guesses.Guess(ctx, p.clock.Now(), at, from)
}

// mailbox is what is counted of an address, for a use. From where its person has
// signed in before is counted apart, so that a stranger keeps nobody out.
func (p *People) mailbox(ctx context.Context, use, email, peer string) ([]byte, error) {
	known, err := p.passwords.KnownSource(ctx, email, peer)
	if known {
		email += "/" + peer
	}
	return p.keyring.Hash(use + email), err
}

func (p *People) code(purpose schema.CodePurpose, email, digits string, now time.Time) schema.Code {
	return schema.Code{Purpose: purpose, Hash: p.codeHash(purpose, email, digits), Created: now, Expires: now.Add(codeLife)}
}

func (p *People) codeHash(purpose schema.CodePurpose, email, digits string) []byte {
	return p.keyring.Hash("code/" + string(purpose) + "/" + email + "/" + digits)
}

// newDigits makes a code of six digits.
func newDigits() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // the system has no randomness: crypto/rand ends the process itself
	}
	return fmt.Sprintf("%06d", n)
}

// address returns an e-mail address as it is kept.
func address(typed string) (string, error) {
	const longest = 254 // RFC 5321, §4.5.3.1.3, less the brackets
	typed = strings.TrimSpace(typed)
	parsed, err := mail.ParseAddress(typed)
	if err != nil || parsed.Address != typed || len(typed) > longest {
		return "", invalid("this is not an e-mail address")
	}
	return strings.ToLower(typed), nil
}
