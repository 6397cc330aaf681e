package api

import (
	"embed"

	"github.com/gofiber/fiber/v2"
)

// payFiles are the page that a link about a payment opens, and that to which banks send
// principals back, and Stripe officers who have said who is to be paid. Neither holds data,
// nor sees a card's number.
//
//go:embed pay/index.html pay/paid.html pay/pay.js pay/pay.css
var payFiles embed.FS

// mountPay serves the pages. They are open: who pays signs in on them.
func (s *Server) mountPay() {
	s.app.Get("/pay", func(c *fiber.Ctx) error { return sendPage(c, payFiles, "pay", "index.html") })
	s.app.Get("/paid", func(c *fiber.Ctx) error { return sendPage(c, payFiles, "pay", "paid.html") })
	s.app.Get("/pay/:file", func(c *fiber.Ctx) error { return sendPage(c, payFiles, "pay", c.Params("file")) })
}
