package account

import (
	"testing"

	"github.com/alexedwards/argon2id"
)

// What stands for the hash of nobody costs what a hash does, and fits nothing.
func TestTheDummyHashIsLikeAnyOther(t *testing.T) {
	t.Parallel()
	cost := &argon2id.Params{Memory: 64, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	h := newHasher(cost)
	ok, params, err := argon2id.CheckHash("", h.dummy)
	if err != nil || ok || *params != *cost {
		t.Errorf("%v, %+v, %v", ok, params, err)
	}
	if ok, err := h.matches(t.Context(), "a password", ""); ok || err != nil {
		t.Errorf("nobody's password: %v, %v", ok, err)
	}
	hash, err := h.hash(t.Context(), "a password")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := h.matches(t.Context(), "a password", hash); !ok || err != nil {
		t.Errorf("the right password: %v, %v", ok, err)
	}
}
