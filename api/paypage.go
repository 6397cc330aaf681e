package api

import (
	"embed"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"armora/payment"
)

// payFiles are the page that a link about a payment opens, and that to which banks send
// principals back, and Stripe officers who have said who is to be paid. Neither holds data,
// nor sees a card's number: the card form is in a frame of Stripe's.
//
//go:embed pay/index.html pay/paid.html pay/pay.js pay/pay.css
var payFiles embed.FS

// mountPay serves the pages. They are open: who pays signs in on them.
func (s *Server) mountPay() {
	policy := pagePolicy
	if s.cfg.Payments != nil {
		policy = payPolicy(s.cfg.Payments.Script())
	}
	s.app.Get("/pay", func(c *fiber.Ctx) error {
		err := sendPage(c, payFiles, "pay", "index.html")
		c.Set("Content-Security-Policy", policy)
		return err
	})
	s.app.Get("/paid", func(c *fiber.Ctx) error { return sendPage(c, payFiles, "pay", "paid.html") })
	s.app.Get("/pay/:file", func(c *fiber.Ctx) error { return sendPage(c, payFiles, "pay", c.Params("file")) })
}

// payPolicy lets a page run Stripe's script beside its own, which makes frames of its
// origin and asks its API; "" is no script.
// https://docs.stripe.com/security/guide#content-security-policy
func payPolicy(script string) string {
	at, err := url.Parse(script)
	if err != nil || at.Host == "" {
		return pagePolicy
	}
	origin := at.Scheme + "://" + at.Host
	scripts, frames, asked := origin, origin, origin
	if origin == payment.StripeScripts {
		scripts, frames, asked = origin+" https://*.js.stripe.com", origin+" https://*.js.stripe.com https://hooks.stripe.com", "https://api.stripe.com"
	}
	return strings.NewReplacer("script-src 'self'", "script-src 'self' "+scripts, "connect-src 'self'", "connect-src 'self' "+asked,
		"base-uri", "frame-src "+frames+"; base-uri").Replace(pagePolicy)
}
