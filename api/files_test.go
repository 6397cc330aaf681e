package api

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"armora/files"
	"armora/fleet"
)

// upload sends a file as the person.
func (p *person) upload(purpose, disposition string, content []byte) answer {
	p.h.t.Helper()
	r := p.h.request(http.MethodPost, "/api/files?purpose="+purpose, bytes.NewReader(content))
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "image/svg+xml") // is not believed
	r.Header.Set("Content-Disposition", disposition)
	return p.h.send(r)
}

func (p *person) keep(purpose string, content []byte) File {
	p.h.t.Helper()
	a := p.upload(purpose, `attachment; filename="my passport.pdf"`, content)
	if a.StatusCode != http.StatusCreated {
		p.h.t.Fatalf("upload: %s: %s", a.Status, a.body)
	}
	return as[File](p.h.t, a)
}

func scan(size int) []byte {
	return append([]byte("%PDF-1.7\n\x00\xff"), make([]byte, size-11)...)
}

func portrait(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 50, 50))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, eve := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	content := scan(files.MaxSize) // far beyond what any other path takes
	f := ada.keep("document", content)
	path := "/api/files/" + f.ID.String()
	got := ada.must(http.StatusOK, "GET", path, nil)
	if !bytes.Equal(got.body, content) || got.Header.Get("Content-Type") != "application/pdf" {
		t.Errorf("downloaded %d bytes of %s", len(got.body), got.Header.Get("Content-Type"))
	}
	for header, want := range map[string]string{"Content-Disposition": `attachment; filename="my passport.pdf"`, "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "sandbox; default-src 'none'", "Cache-Control": "no-store"} {
		if got := got.Header.Get(header); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}
	for _, other := range []*person{eve, h.person(fleet.RoleDriver), h.person(fleet.RoleFinance), h.person(fleet.RolePartner), h.person(fleet.RoleDispatcher)} {
		problem(t, other.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
		problem(t, other.do("DELETE", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	}
	if list := as[page[File]](t, eve.must(http.StatusOK, "GET", "/api/files", nil)); len(list.Items) != 0 {
		t.Errorf("another's list: %+v", list)
	}
	problem(t, h.send(h.anonymous("GET", path)), http.StatusUnauthorized, fleet.CodeUnauthenticated)
	for _, staff := range []fleet.Role{fleet.RoleCompliance, fleet.RoleAdmin} {
		reader := h.person(staff)
		if got := reader.must(http.StatusOK, "GET", path, nil); !bytes.Equal(got.body, content) {
			t.Errorf("%s read %d bytes", staff, len(got.body))
		}
		problem(t, reader.do("DELETE", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	}
	if entries := h.audited("read_file", ada.id); len(entries) != 2 || entries[0].Object != "file/"+f.ID.String() {
		t.Errorf("the log has %+v", entries)
	}
	avatar := ada.keep("avatar", portrait(t))
	h.person(fleet.RoleDispatcher).must(http.StatusOK, "GET", "/api/files/"+avatar.ID.String(), nil)
	if _, err := h.db.Pool().Exec(t.Context(), `UPDATE users SET restricted = true WHERE id = $1`, ada.id); err != nil {
		t.Fatal(err)
	}
	problem(t, h.person(fleet.RoleCompliance).do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	ada.must(http.StatusNoContent, "DELETE", path, nil)
	problem(t, ada.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
}

func TestUploadsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	problem(t, p.upload("avatar", "", scan(5<<20+1)), http.StatusRequestEntityTooLarge, fleet.CodeTooLarge)
	problem(t, p.upload("avatar", "", scan(100)), http.StatusUnsupportedMediaType, fleet.CodeMediaType)
	problem(t, p.upload("avatar", "", nil), http.StatusBadRequest, fleet.CodeInvalid)
	problem(t, p.upload("evidence", "", scan(100)), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	problem(t, p.upload("", "", scan(100)), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if a := p.upload("document", `attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd`, scan(100)); as[File](t, a).Name != "passwd" {
		t.Errorf("kept as %s", a.body)
	}
	if a := p.upload("document", `;;=`, scan(100)); a.StatusCode != http.StatusCreated || as[File](t, a).Name != "" {
		t.Errorf("%s: %s", a.Status, a.body)
	}
	// Others, and other paths, stay at the old limit: nobody makes the hub hold
	// ten megabytes without having signed in.
	for _, c := range []struct {
		path, token string
		length      int
	}{
		{"/api/files?purpose=document", p.token, files.MaxSize + 1}, {"/api/files?purpose=document", "wrong", maxBody + 1},
		{"/api/users/preferences", p.token, maxBody + 1}, {"/api/files/", p.token, maxBody + 1},
		{"/api/files?purpose=document", h.granted(h.partner()).token, maxBody + 1},
	} {
		conn, err := net.Dial("tcp", h.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", c.path, c.token, c.length); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 12)
		if _, err := conn.Read(answer); err != nil || string(answer) != "HTTP/1.1 413" { // before a byte of the body was sent
			t.Errorf("%+v: %q, error %v", c, answer, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Whoever has signed in does not make the hub hold any number of large files either.
func TestUploadsUnderWayAreFew(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, bo := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	expect := func(conn net.Conn, want string) {
		t.Helper()
		answer := make([]byte, len(want))
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != want {
			t.Fatalf("%q, error %v, want %s", answer, err, want)
		}
	}
	begin := func(p *person) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", h.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil { // in place of a wait for ever
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "POST /api/files?purpose=document HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
			"Expect: 100-continue\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", p.token, maxBody+1)
		if err != nil {
			t.Fatal(err)
		}
		expect(conn, "HTTP/1.1 100 Continue\r\n\r\n") // the header was read
		return conn
	}
	end := func(conn net.Conn) {
		t.Helper()
		if _, err := conn.Write(make([]byte, maxBody+1)); err != nil {
			t.Fatal(err)
		}
		expect(conn, "HTTP/1.1 415") // zeros are no file
	}
	first := begin(ada)
	for range uploadsEach - 1 {
		begin(ada)
	}
	expect(begin(ada), "HTTP/1.1 413")
	end(begin(bo))
	end(first)
	begin(ada) // one has ended
	expect(begin(ada), "HTTP/1.1 413")
	h.clock.Advance(uploadTimeout)
	end(begin(ada)) // those that never came are given up
}

func TestPhotoOfAProfile(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, eve := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	photo := ada.keep("avatar", portrait(t))
	for who, id := range map[*person]fleet.FileID{eve: photo.ID, ada: ada.keep("document", scan(100)).ID} {
		problem(t, who.do("PUT", "/api/users/profile", map[string]any{"name": "x", "photo_id": id}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	saved := as[Profile](t, ada.must(http.StatusOK, "PUT", "/api/users/profile", map[string]any{"name": "Ada", "photo_id": photo.ID}))
	if saved.PhotoID != photo.ID {
		t.Errorf("saved %+v", saved)
	}
	ada.must(http.StatusNoContent, "DELETE", "/api/files/"+photo.ID.String(), nil)
	if now := as[Profile](t, ada.must(http.StatusOK, "GET", "/api/users/profile", nil)); !now.PhotoID.IsZero() || now.Name != "Ada" {
		t.Errorf("after the photo was deleted: %+v", now)
	}
}

// A blob that was damaged is not passed off as the file: the answer is an error,
// or ends without its end.
func TestADamagedBlobIsNotServed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	for _, size := range []int{1000, 1 << 20} {
		f := p.keep("document", scan(size))
		name := filepath.Join(h.blobs, f.ID.String()[34:], f.ID.String())
		blob, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// Sixteen bytes are not there by chance; the four of %PDF are, in one of 4,096
		// ciphertexts of a MiB.
		if bytes.Contains(blob, scan(64)[:16]) || bytes.Contains(blob, scan(64)[16:32]) {
			t.Error("the blob can be read")
		}
		blob[len(blob)-1] ^= 1
		if err := os.WriteFile(name, blob, 0o600); err != nil {
			t.Fatal(err)
		}
		r := h.request("GET", "/api/files/"+f.ID.String(), nil)
		r.Header.Set("Authorization", "Bearer "+p.token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		_, err = got.ReadFrom(resp.Body)
		if resp.StatusCode == http.StatusOK && err == nil {
			t.Errorf("%d bytes were served as if nothing were wrong", got.Len())
		}
		_ = resp.Body.Close()
	}
}
