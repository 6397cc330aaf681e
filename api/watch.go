package api

import (
	"embed"
	"path"

	"github.com/gofiber/fiber/v2"
)

// watchFiles is the page that a link to a trip opens. It has no library, since it is
// opened once, on a phone, somewhere.
//
//go:embed watch/index.html watch/watch.js watch/map.js watch/watch.css
var watchFiles embed.FS

// pagePolicy lets such a page run its own files and ask the hub, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// mountWatch serves the page. It is open: it shows nothing without a link's token.
func (s *Server) mountWatch() {
	s.app.Get("/watch", func(c *fiber.Ctx) error { return sendPage(c, watchFiles, "watch", "index.html") })
	s.app.Get("/watch/:file", func(c *fiber.Ctx) error { return sendPage(c, watchFiles, "watch", c.Params("file")) })
}

// sendPage sends a file of a page that a link opens.
func sendPage(c *fiber.Ctx, files embed.FS, folder, name string) error {
	content, err := files.ReadFile(path.Join(folder, path.Base(name)))
	if err != nil {
		return fiber.ErrNotFound
	}
	c.Set("Content-Security-Policy", pagePolicy)
	c.Set(fiber.HeaderCacheControl, "public, max-age=3600")
	c.Type(path.Ext(name), "utf-8")
	return c.Send(content)
}
