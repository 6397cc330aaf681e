package account

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"armora/fleet"
)

// What is held answers while the database is away, however long that is, and not what
// was forgotten: a revocation stands.
func TestWhatIsHeldAnswersForADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	clock := fleet.NewManualClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	answers, err := newSessionMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]string{"ada": "from the database", "cy": "from the database"}
	var away error
	l := newLookups(clock, semaphore.NewWeighted(1), countLookups(answers, "test"), func(_ context.Context, key string) (string, error) {
		if away != nil {
			return "", away
		}
		if value, ok := there[key]; ok {
			return value, nil
		}
		return "", &fleet.Error{Code: fleet.CodeNotFound, Message: "nobody"}
	})
	l.hold(map[string]string{"ada": "by heart", "bo": "by heart"})
	if got, _, err := l.get(t.Context(), "ada"); err != nil || got != "from the database" {
		t.Errorf("the database is there: %q, %v", got, err)
	}
	if _, _, err := l.get(t.Context(), "bo"); fleet.CodeOf(err) != fleet.CodeNotFound {
		t.Errorf("whom the database does not know is let in: %v", err)
	}
	if _, _, err := l.get(t.Context(), "cy"); err != nil {
		t.Error(err)
	}
	delete(there, "cy")
	clock.Advance(Freshness)
	if _, _, err := l.get(t.Context(), "cy"); fleet.CodeOf(err) != fleet.CodeNotFound {
		t.Errorf("whom the database has forgotten: %v", err)
	}
	away = &fleet.Error{Code: fleet.CodeUnavailable, Message: "away", Err: errors.New("no route")}
	if got, _, err := l.get(t.Context(), "cy"); fleet.CodeOf(err) != fleet.CodeUnavailable {
		t.Errorf("whom the database had forgotten before it went away is let in: %q, %v", got, err)
	}
	clock.Advance(Staleness + time.Hour)
	for _, key := range []string{"ada", "bo"} {
		if got, _, err := l.get(t.Context(), key); err != nil || got != "by heart" {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	l.forget("ada")
	if _, _, err := l.get(t.Context(), "ada"); fleet.CodeOf(err) != fleet.CodeUnavailable {
		t.Errorf("who was revoked is let in: %v", err)
	}
	l.hold(nil)
	if _, _, err := l.get(t.Context(), "bo"); fleet.CodeOf(err) != fleet.CodeUnavailable {
		t.Errorf("who is held no more is let in: %v", err)
	}
}

// A database that takes a question and does not answer keeps nobody waiting who is in an
// emergency and known: while it is still asked, they are answered by heart.
func TestNobodyInAnEmergencyWaitsForADatabaseThatStalls(t *testing.T) {
	t.Parallel()
	answers, err := newSessionMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan context.Context, 1)
	l := newLookups(fleet.NewManualClock(time.Now()), semaphore.NewWeighted(1), countLookups(answers, "test"), func(ctx context.Context, _ string) (string, error) {
		asked <- ctx
		<-ctx.Done()
		return "", &fleet.Error{Code: fleet.CodeUnavailable, Message: "away", Err: ctx.Err()}
	})
	l.hold(map[string]string{"ada": "by heart"})
	got, remembered, err := l.get(emergency(t.Context()), "ada")
	if err != nil || !remembered || got != "by heart" {
		t.Errorf("%q, %v", got, err)
	}
	if gives, _ := (<-asked).Deadline(); time.Until(gives) < lookupSoon {
		t.Error("they waited as long as the question")
	}
	if _, _, err := l.get(emergency(t.Context()), "bo"); fleet.CodeOf(err) != fleet.CodeUnavailable {
		t.Errorf("whom nobody knows is let in: %v", err)
	}
}

// A revocation stands that comes while somebody waits for the database.
func TestWhatIsRevokedMeanwhileStaysSo(t *testing.T) {
	t.Parallel()
	answers, err := newSessionMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	clock := fleet.NewManualClock(time.Now())
	var l *lookups[string]
	there := true
	l = newLookups(clock, semaphore.NewWeighted(1), countLookups(answers, "test"), func(context.Context, string) (string, error) {
		if there {
			return "from the database", nil
		}
		l.forget("ada")
		return "", &fleet.Error{Code: fleet.CodeUnavailable, Message: "away"}
	})
	l.hold(map[string]string{"ada": "by heart"})
	if _, _, err := l.get(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	there = false
	clock.Advance(Freshness)
	if got, _, err := l.get(t.Context(), "ada"); fleet.CodeOf(err) != fleet.CodeUnavailable {
		t.Errorf("who was revoked meanwhile is let in: %q, %v", got, err)
	}
}
