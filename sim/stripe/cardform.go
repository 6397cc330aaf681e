package stripe

import (
	"embed"
	"net/http"
)

// formFiles are the script by which a page has a card form, and the frame that the form
// is: in the place of https://js.stripe.com/v3/.
//
//go:embed form/stripe.js form/card.html form/card.js
var formFiles embed.FS

func (s *Server) mountForm() {
	for pattern, name := range map[string]string{"GET /v3/{$}": "stripe.js", "GET /v3/card": "card.html", "GET /v3/card.js": "card.js"} {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, formFiles, "form/"+name) })
	}
}
