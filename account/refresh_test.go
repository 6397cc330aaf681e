package account

import (
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func (p *people) refresh(token string) (Tokens, error) { return p.Refresh(p.t.Context(), token) }

func (p *people) mustRefresh(token string) Tokens {
	p.t.Helper()
	tokens, err := p.refresh(token)
	if err != nil {
		p.t.Fatal(err)
	}
	return tokens
}

func (p *people) begin() Tokens {
	p.t.Helper()
	tokens, err := p.Begin(p.t.Context(), SignIn{User: p.user(fleet.RoleRider), Method: fleet.ByPassword})
	if err != nil {
		p.t.Fatal(err)
	}
	return tokens
}

// over ends the test unless the session is.
func (p *people) over(session fleet.UserSession, tokens ...string) {
	p.t.Helper()
	for _, token := range tokens {
		if _, err := p.refresh(token); fleet.CodeOf(err) != fleet.CodeUnauthenticated {
			p.t.Errorf("a token of an ended session: %v", err)
		}
	}
	live, err := p.List(p.t.Context(), session.User)
	if err != nil || len(live) != 0 {
		p.t.Errorf("%d sessions live, %v", len(live), err)
	}
}

func TestRefreshTokensAreGoodOnce(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		p := newPeople(t, db)
		first := p.begin()
		second := p.mustRefresh(first.Refresh)
		third := p.mustRefresh(second.Refresh)
		if _, err := p.Verify(t.Context(), third.Access); err != nil {
			t.Fatal(err)
		}
		p.spent(first.Refresh) // long used
		p.over(first.Session, first.Refresh, second.Refresh, third.Refresh, "armr_never")
		p.refused(third.Access, "of a session that ended by a reuse")
	})
}

func (p *people) spent(token string) {
	p.t.Helper()
	if _, err := p.refresh(token); fleet.CodeOf(err) != fleet.CodeUnauthenticated {
		p.t.Fatalf("a token that was used: %v", err)
	}
}

// The answer to a refresh got lost, and the app asks again.
func TestALostAnswerIsReplacedWithinTheGrace(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		p := newPeople(t, db)
		first := p.begin()
		lost := p.mustRefresh(first.Refresh)
		p.clock.Advance(refreshGrace - time.Second)
		again := p.mustRefresh(first.Refresh)
		next := p.mustRefresh(again.Refresh)
		p.spent(lost.Refresh) // killed: whoever shows it has a copy
		p.over(first.Session, next.Refresh)

		late := p.begin()
		p.mustRefresh(late.Refresh)
		p.clock.Advance(refreshGrace)
		p.spent(late.Refresh)
		p.over(late.Session)

		used := p.begin()
		child := p.mustRefresh(used.Refresh)
		p.mustRefresh(child.Refresh)
		p.spent(used.Refresh) // within the grace, but the answer had arrived
		p.over(used.Session)
	})
}

func TestConcurrentRefreshesLeaveOneChain(t *testing.T) {
	t.Parallel()
	p := newPeople(t, schematest.Plain(t))
	first := p.begin()
	var mu sync.Mutex
	var got []Tokens
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			tokens, err := p.refresh(first.Refresh)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, tokens)
		})
	}
	all.Wait()
	var live int
	err := p.db.Pool().QueryRow(t.Context(), `
		SELECT count(*) FROM refresh_tokens WHERE session = $1 AND used IS NULL AND killed IS NULL`, first.Session.ID).Scan(&live)
	if err != nil || live != 1 || len(got) != 12 {
		t.Errorf("%d live tokens of %d, %v", live, len(got), err)
	}
}

func TestASessionExpires(t *testing.T) {
	t.Parallel()
	p := newPeople(t, schematest.Plain(t))
	tokens := p.begin()
	p.clock.Advance(SessionLife)
	p.over(tokens.Session, tokens.Refresh)
}
