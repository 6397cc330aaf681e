package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"armora/fleet"
)

// browser is Chromium, spoken to by the DevTools protocol.
type browser struct {
	t       *testing.T
	conn    *websocket.Conn
	session string
	last    int
}

// openBrowser starts Debian's Chromium with a page of the size of a phone.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("Chromium is not installed: the page is not looked at")
	}
	cmd := exec.CommandContext(t.Context(), path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--remote-debugging-port=0", "--user-data-dir="+t.TempDir(), "about:blank")
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // an error means that it has ended
		_ = cmd.Wait()
	})
	b := &browser{t: t}
	for lines := bufio.NewScanner(out); b.conn == nil && lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "DevTools listening on "); ok {
			if b.conn, _, err = websocket.DefaultDialer.Dial(url, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if b.conn == nil {
		t.Fatal("Chromium does not say where it listens")
	}
	t.Cleanup(func() { _ = b.conn.Close() })
	target := b.call("Target.createTarget", map[string]any{"url": "about:blank"})
	b.session = b.call("Target.attachToTarget", map[string]any{"targetId": target["targetId"], "flatten": true})["sessionId"].(string)
	b.call("Page.enable", nil)
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true})
	return b
}

// call sends a command and returns its result.
func (b *browser) call(method string, params map[string]any) map[string]any {
	b.t.Helper()
	result, refused := b.ask(method, params)
	if refused != "" {
		b.t.Fatalf("%s: %s", method, refused)
	}
	return result
}

// ask is call of what may be refused.
func (b *browser) ask(method string, params map[string]any) (result map[string]any, refused string) {
	b.t.Helper()
	b.last++
	if err := b.conn.WriteJSON(map[string]any{"id": b.last, "method": method, "params": params, "sessionId": b.session}); err != nil {
		b.t.Fatal(err)
	}
	if err := b.conn.SetReadDeadline(time.Now().Add(watchPatience)); err != nil {
		b.t.Fatal(err)
	}
	for {
		var answer struct {
			ID     int             `json:"id"`
			Result map[string]any  `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if err := b.conn.ReadJSON(&answer); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		if answer.ID != b.last {
			continue // an event
		}
		return answer.Result, string(answer.Error)
	}
}

// text is what an expression of the page's is, as a string; "" while the page gives way to
// another.
func (b *browser) text(expression string) string {
	b.t.Helper()
	answer, _ := b.ask("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true})
	result, _ := answer["result"].(map[string]any)
	text, _ := result["value"].(string)
	return text
}

func TestThePageOfALinkShowsTheTripOnAPhone(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	h := newHub(t)
	rider, _, driver, id := h.trip()
	path := "/api/bookings/" + id.String() + "/shares"
	made := rider.shared(path, "trip_end")
	for second := range 20 {
		h.fix(driver, second+1, 51.51-0.0004*float64(second))
	}
	b.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{
		"source": "window.refused = []; addEventListener('securitypolicyviolation', (e) => refused.push(e.blockedURI))",
	})
	b.call("Page.navigate", map[string]any{"url": strings.Replace(made.URL, "https://hub.example", h.url, 1)})
	text := func(id string) string { return b.text("document.getElementById('" + id + "')?.textContent") }
	h.until("the page shows the trip", func() bool { return text("status") == "Protection officer on the way" })
	if officers := text("officers"); officers != "1 protection officer" {
		t.Errorf("the page says %q", officers)
	}
	for second := range 10 {
		h.fix(driver, second+30, 51.502-0.0004*float64(second))
	}
	const gold = `(() => { const c = document.getElementById('map'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data
		let n = 0; for (let i = 0; i < d.length; i += 4) if (d[i] > 200 && d[i + 1] > 150 && d[i + 2] < 120) n++; return n > 200 })()`
	h.until("the officer is on the map", func() bool { return b.text(gold) == "true" })
	if wide := b.text("document.documentElement.scrollWidth <= innerWidth"); wide != "true" {
		t.Error("the page is wider than the phone")
	}
	if to := os.Getenv("ARMORA_TEST_SCREENSHOT"); to != "" {
		shot, _ := b.call("Page.captureScreenshot", nil)["data"].(string)
		png, err := base64.StdEncoding.DecodeString(shot)
		if err != nil || os.WriteFile(to, png, 0o644) != nil {
			t.Errorf("the picture was not kept: %v", err)
		}
	}
	h.move(id, fleet.Arrived, "arrived")
	h.until("the page says that the officer has arrived", func() bool { return text("status") == "Protection officer has arrived" })
	rider.must(http.StatusNoContent, "DELETE", path+"/"+made.ID.String(), nil)
	h.until("the page says that the link has ended", func() bool { return text("note") == "This link has ended." })
	if refused := b.text("refused"); refused != "" {
		t.Errorf("the page asked for %s", refused)
	}
}

// A phone that changes its network is told by nobody that the stream is dead: the page
// finds out by the hub's silence, and reads on over another connection.
func TestThePageOfALinkOutlivesADeadConnection(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	h := newHub(t)
	rider, _, _, id := h.trip()
	made := rider.shared("/api/bookings/"+id.String()+"/shares", "trip_end")
	hub, err := url.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	var streams atomic.Int32
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(hub)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
				r.Body = &mute{ReadCloser: r.Body, of: r.Request.Context(), first: streams.Add(1) == 1}
			}
			return nil
		},
		FlushInterval: -1, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	})
	t.Cleanup(proxy.Close)
	b.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `
		window.late = new Map()
		const set = setTimeout, clear = clearTimeout
		window.setTimeout = (f, ms) => { if (ms < 30000) return set(f, ms); const id = 'late' + late.size; late.set(id, f); return id }
		window.clearTimeout = (id) => { late.delete(id) || clear(id) }`})
	b.call("Page.navigate", map[string]any{"url": strings.Replace(made.URL, "https://hub.example", proxy.URL, 1)})
	text := func(id string) string { return b.text("document.getElementById('" + id + "')?.textContent") }
	h.until("the page shows the trip", func() bool { return text("status") == "Protection officer on the way" })
	h.move(id, fleet.Arrived, "arrived")             // which the dead stream does not say
	b.text("[...late.values()].forEach((f) => f())") // half a minute passes
	h.until("the page to lose patience and read on", func() bool { return text("status") == "Protection officer has arrived" })
}

// mute is the body of a stream. The first is dead once it has said anything: it ends only
// when its reader leaves.
type mute struct {
	io.ReadCloser
	of    context.Context
	first bool
	said  bool // the snapshot
}

func (m *mute) Read(b []byte) (int, error) {
	if m.first && m.said {
		<-m.of.Done()
		return 0, m.of.Err()
	}
	n, err := m.ReadCloser.Read(b)
	m.said = m.said || bytes.Contains(b[:n], []byte("snapshot"))
	return n, err
}
