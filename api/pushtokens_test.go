package api

import (
	"net/http"
	"strings"
	"testing"

	"armora/fleet"
	"armora/schema"
)

func TestPushTokens(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, bo := h.person(fleet.RoleRider), h.person(fleet.RoleDriver)
	tokens := schema.PushTokens{DB: h.db}
	has := func(p *person, want int) {
		t.Helper()
		got, err := tokens.Of(t.Context(), p.id, h.clock.Now())
		if err != nil || len(got) != want {
			t.Fatalf("%d apps, want %d, error %v", len(got), want, err)
		}
		for _, token := range got {
			if plain, err := h.keyring.Unseal(token.Sealed, fleet.PushPurpose(token.ID)); err != nil || !strings.HasPrefix(string(plain), "app:") ||
				strings.Contains(string(token.Sealed)+string(token.Hash), "app:") {
				t.Errorf("%q, error %v", plain, err)
			}
		}
	}
	const path = "/api/users/push-tokens"
	one := map[string]any{"token": "app:one"}
	ada.must(http.StatusNoContent, "POST", path, one)
	ada.must(http.StatusNoContent, "POST", path, one)
	has(ada, 1)
	problem(t, bo.do("DELETE", path, one), http.StatusNotFound, fleet.CodeNotFound)
	bo.must(http.StatusNoContent, "POST", path, one)
	has(ada, 0)
	has(bo, 1)
	problem(t, ada.do("DELETE", path, one), http.StatusNotFound, fleet.CodeNotFound)
	bo.must(http.StatusNoContent, "DELETE", path, one)
	has(bo, 0)
	for _, bad := range []string{"", "with space", strings.Repeat("x", 4097)} {
		problem(t, ada.do("POST", path, map[string]any{"token": bad}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	for i := range 22 {
		ada.must(http.StatusNoContent, "POST", path, map[string]any{"token": "app:" + strings.Repeat("x", i+1)})
	}
	has(ada, 20)
}
