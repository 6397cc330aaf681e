package api

import (
	"embed"
	"net/http"
	"path"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/filesystem"
)

// docsFiles is the documentation page: Swagger UI's distribution (5.35.0,
// Apache-2.0) with a page of ours, so that it works without the internet.
//
//go:embed docs/index.html docs/start.js docs/swagger-ui.css docs/swagger-ui-bundle.js
var docsFiles embed.FS

// docsPolicy lets the page run its own files and nothing else. Swagger UI sets
// styles inline.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// mountDocs serves the OpenAPI document and the page that shows it. Both are
// open: they hold no data.
func (s *Server) mountDocs(document []byte) {
	s.app.Get("/openapi.json", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/openapi+json")
		return c.Send(document)
	})
	s.app.Get("/docs", func(c *fiber.Ctx) error { return sendDocs(c, "index.html") })
	s.app.Get("/docs/:file", func(c *fiber.Ctx) error { return sendDocs(c, c.Params("file")) })
}

func sendDocs(c *fiber.Ctx, name string) error {
	content, err := docsFiles.ReadFile(path.Join("docs", path.Base(name)))
	if err != nil {
		return fiber.ErrNotFound
	}
	c.Set("Content-Security-Policy", docsPolicy)
	c.Set(fiber.HeaderCacheControl, "public, max-age=3600")
	c.Type(path.Ext(name), "utf-8")
	return c.Send(content)
}

// mountConsole serves the ops page's files. What they show, they ask the API
// for.
func (s *Server) mountConsole() {
	if s.cfg.Console == nil {
		return
	}
	s.app.Use("/console", filesystem.New(filesystem.Config{
		Root: http.FS(s.cfg.Console), Index: "index.html", NotFoundFile: "index.html",
	}))
}
