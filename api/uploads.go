package api

import (
	"net/http"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"armora/files"
	"armora/fleet"
)

// uploadTimeout is for a whole file to arrive, over a slow phone.
const uploadTimeout = 2 * time.Minute

// How many large bodies may be under way: they are held in memory.
const (
	uploadsEach = 4 // of a person
	uploadsMost = 48
)

// uploadHeader names a large body to whoever handles it. Nobody outside sees it.
const uploadHeader = "X-Armora-Upload"

func isUpload(method, path string) bool { return method == http.MethodPost && path == filesPath }

// limitsOf says what a request may take once its header was read, and before a
// byte of its body is. A large body is for those who have signed in, and for as
// many at a time as there is memory for: the others are cut off at maxBody.
func (s *Server) limitsOf(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	var uri fasthttp.URI
	if err := uri.Parse(nil, header.RequestURI()); err != nil || !isUpload(string(header.Method()), string(uri.Path())) {
		return fasthttp.RequestConfig{}
	}
	caller, err := s.authenticate(s.serving.context, string(header.Peek("Authorization")))
	if err != nil || caller.User.IsZero() || header.ContentLength() > files.MaxSize {
		return fasthttp.RequestConfig{}
	}
	if length := header.ContentLength(); length >= 0 && length <= maxBody {
		return fasthttp.RequestConfig{ReadTimeout: uploadTimeout}
	}
	name, ok := s.uploads.begin(caller.User, s.clock.Now())
	if !ok {
		return fasthttp.RequestConfig{}
	}
	header.Set(uploadHeader, name)
	return fasthttp.RequestConfig{MaxRequestBodySize: files.MaxSize, ReadTimeout: uploadTimeout}
}

// uploads are the large bodies that are under way. One that never arrives counts
// until its time is up. It is safe for concurrent use.
type uploads struct {
	mu       sync.Mutex
	underWay map[string]upload
}

type upload struct {
	user  fleet.UserID
	until time.Time
}

// begin reports whether one more of a user's may begin, and how it is named to end.
func (u *uploads) begin(user fleet.UserID, now time.Time) (name string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	own := 0
	for name, other := range u.underWay {
		switch {
		case !now.Before(other.until):
			delete(u.underWay, name)
		case other.user == user:
			own++
		}
	}
	if own >= uploadsEach || len(u.underWay) >= uploadsMost {
		return "", false
	}
	if u.underWay == nil {
		u.underWay = make(map[string]upload)
	}
	name = fleet.NewID[upload]().String()
	u.underWay[name] = upload{user, now.Add(uploadTimeout)}
	return name, true
}

// end ends one; "" is none.
func (u *uploads) end(name string) {
	if name == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.underWay, name)
}
