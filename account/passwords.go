package account

import (
	"context"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
)

const forgottenPurpose = "forgotten-password"

// ForgotPassword sends the person with an address, if there is one, a code by
// which the password can be replaced. Whether there is one is looked up by a job,
// so that the answer takes the same time either way.
func (p *People) ForgotPassword(ctx context.Context, typed, peer string) error {
	email, err := address(typed)
	if err == nil {
		err = p.limitMails(ctx, email, peer)
	}
	if err != nil {
		return err
	}
	return p.db.Run(ctx, fleet.ForgottenPasswordJob{Sealed: p.keyring.Seal([]byte(email), forgottenPurpose)})
}

// forgottenPasswords does the job that ForgotPassword leaves.
type forgottenPasswords struct {
	river.WorkerDefaults[fleet.ForgottenPasswordJob]
	people *People
}

func (w *forgottenPasswords) Work(ctx context.Context, job *river.Job[fleet.ForgottenPasswordJob]) error {
	email, err := w.people.keyring.Unseal(job.Args.Sealed, forgottenPurpose)
	if err != nil {
		return river.JobCancel(err)
	}
	return w.people.sendReset(ctx, string(email))
}

// AddWorkers adds the workers of the jobs that people leave.
func (p *People) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, &forgottenPasswords{people: p})
}

func (p *People) sendReset(ctx context.Context, email string) error {
	now, digits := p.clock.Now(), newDigits()
	n, err := p.notice(email, "reset_password", map[string]string{"code": digits}, now.Add(codeLife))
	if err != nil {
		return err
	}
	return p.passwords.Forget(ctx, email, p.code(schema.ResetPassword, email, digits, now), n)
}

// ResetPassword replaces the password of whoever has the code that was sent to
// them, and ends all their sessions.
func (p *People) ResetPassword(ctx context.Context, email, digits, password, peer string) error {
	return p.guess(ctx, email, peer, func(email string) error {
		hash, err := p.replacement(ctx, password, email)
		if err != nil {
			return err
		}
		told := p.telling("password_changed", nil)
		ended, err := p.passwords.Reset(ctx, email, p.codeHash(schema.ResetPassword, email, digits), hash, told, p.clock.Now())
		if err != nil {
			return err
		}
		p.sessions.tell(ended)
		return nil
	})
}

// ChangePassword replaces the password of a person who knows it, and ends all their
// sessions with all that they opened: whoever has a copy of the caller's tokens has
// nothing by it. The caller goes on with the tokens of a new session, which is worth
// what theirs was.
func (p *People) ChangePassword(ctx context.Context, c *Caller, current, password string, at Where) (t Tokens, u fleet.User, err error) {
	proof, err := p.passwords.ProofOf(ctx, c.User)
	if err != nil {
		return t, u, err
	}
	err = p.guess(ctx, proof.User.Email, at.Address, func(email string) error {
		proof.TOTP = nil // the session has shown it
		if err := p.check(ctx, &proof, current, ""); err != nil {
			return err
		}
		hash, err := p.replacement(ctx, password, email)
		if err != nil {
			return err
		}
		begun, refresh := p.sessions.begun(SignIn{
			User: c.User, Method: fleet.ByPassword, SecondFactor: c.SecondFactor, Where: at, Proved: c.Authenticated,
		})
		ended, err := p.passwords.Change(ctx, schema.PasswordChange{
			Was: proof.Password, Password: hash, From: c.Session, To: begun, Told: p.telling("password_changed", nil),
		}, p.clock.Now())
		if fleet.CodeOf(err) == fleet.CodeNotFound {
			err = errBadLogin // it was changed meanwhile
		}
		if err != nil {
			return err
		}
		p.sessions.tell(ended)
		t, err = p.sessions.mint(begun.UserSession, refresh)
		return err
	})
	return t, proof.User, err
}

// replacement checks and hashes a new password.
func (p *People) replacement(ctx context.Context, password, email string) (hash string, err error) {
	if err := checkPassword(password, email); err != nil {
		return "", err
	}
	return p.hasher.hash(ctx, password)
}
