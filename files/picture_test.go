package files

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"armora/fleet"
	"armora/schema/schematest"
)

// quarters is a picture whose corners can be told apart: red, green, blue, white,
// clockwise from the upper left.
func quarters(w, h int) *image.RGBA {
	picture := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{255, 0, 0, 255}
			switch right, low := x >= w/2, y >= h/2; {
			case right && low:
				c = color.RGBA{0, 0, 255, 255}
			case right:
				c = color.RGBA{0, 255, 0, 255}
			case low:
				c = color.RGBA{255, 255, 255, 255}
			}
			picture.Set(x, y, c)
		}
	}
	return picture
}

func asJPEG(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// camera is the text that the EXIF of these tests holds, beside a position.
const camera = "SPYCAM 3000"

// exif is a TIFF as cameras write it: the orientation, the maker and a GPS
// directory with a latitude of 51° 30' 26".
func exif(held uint16) []byte {
	le := binary.LittleEndian
	tag := func(out []byte, id, kind uint16, count, value uint32) []byte {
		out = le.AppendUint32(le.AppendUint16(le.AppendUint16(out, id), kind), count)
		return le.AppendUint32(out, value)
	}
	const maker, gps = 8 + 2 + 3*12 + 4, 8 + 2 + 3*12 + 4 + 12 // where they lie
	out := append([]byte("II*\x00"), 8, 0, 0, 0)
	out = le.AppendUint16(out, 3)
	out = tag(out, 0x010f, 2, uint32(len(camera)+1), maker)
	out = tag(out, 0x0112, 3, 1, uint32(held))
	out = tag(out, 0x8825, 4, 1, gps)
	out = append(le.AppendUint32(out, 0), camera+"\x00"...)
	out = le.AppendUint16(out, 2)
	out = tag(out, 0x0001, 2, 2, 'N')
	out = tag(out, 0x0002, 5, 3, gps+2+2*12+4)
	out = le.AppendUint32(out, 0)
	for _, n := range []uint32{51, 1, 30, 1, 26, 1} {
		out = le.AppendUint32(out, n)
	}
	return out
}

// withEXIF puts EXIF behind the first marker of a JPEG.
func withEXIF(picture []byte, held uint16) []byte {
	block := append([]byte("Exif\x00\x00"), exif(held)...)
	marker := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(block)+2))
	return bytes.Join([][]byte{picture[:2], marker, block, picture[2:]}, nil)
}

func TestPicturesTellOnlyWhatOneSees(t *testing.T) {
	t.Parallel()
	h := newHouse(t, schematest.Plain(t), newFolder(t))
	ada := h.user(fleet.RoleRider)
	upright := []color.RGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}}
	red, green, blue, white := upright[0], upright[1], upright[2], upright[3]
	for held, want := range map[uint16][4]color.RGBA{ // the corners as one sees them, clockwise
		0: {red, green, blue, white}, 1: {red, green, blue, white}, 2: {green, red, white, blue}, 3: {blue, white, red, green},
		4: {white, blue, green, red}, 5: {red, white, blue, green}, 6: {white, red, green, blue}, 7: {blue, green, red, white},
		8: {green, blue, white, red}, 9: {red, green, blue, white},
	} {
		sent := withEXIF(asJPEG(t, quarters(64, 32)), held)
		if !bytes.Contains(sent, []byte(camera)) || !bytes.Contains(sent, []byte("Exif")) {
			t.Fatal("the test's picture has no EXIF")
		}
		f, err := h.Add(t.Context(), ada, fleet.AvatarFile, "", sent)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := h.read(Reader{User: ada}, f.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, trace := range [][]byte{[]byte("Exif"), []byte(camera), exif(held)[60:], []byte("II*")} {
			if bytes.Contains(kept, trace) {
				t.Errorf("orientation %d: what is kept holds %q", held, trace)
			}
		}
		seen, kind, err := image.Decode(bytes.NewReader(kept))
		if err != nil || kind != "jpeg" || f.MediaType != "image/jpeg" {
			t.Fatalf("orientation %d: kept as %s %s, error %v", held, kind, f.MediaType, err)
		}
		w, ht := seen.Bounds().Dx(), seen.Bounds().Dy()
		if turned := held >= 5 && held <= 8; turned != (ht == 64) || w*ht != 64*32 {
			t.Errorf("orientation %d: %d × %d", held, w, ht)
		}
		for i, at := range []image.Point{{4, 4}, {w - 5, 4}, {w - 5, ht - 5}, {4, ht - 5}} {
			if got := seen.At(at.X, at.Y); !alike(got, want[i]) {
				t.Errorf("orientation %d: corner %d is %v, want %v", held, i, got, want[i])
			}
		}
	}
}

func alike(a, b color.Color) bool {
	const near = 30 << 8
	r, g, bl, _ := a.RGBA()
	r2, g2, b2, _ := b.RGBA()
	off := func(x, y uint32) bool { return max(x, y)-min(x, y) > near }
	return !off(r, r2) && !off(g, g2) && !off(bl, b2)
}

func TestPicturesAreMadeSmaller(t *testing.T) {
	t.Parallel()
	h := newHouse(t, schematest.Plain(t), newFolder(t))
	ada := h.user(fleet.RoleRider)
	var transparent bytes.Buffer
	glass := image.NewNRGBA(image.Rect(0, 0, 1500, 3000))
	glass.Set(700, 700, color.NRGBA{255, 0, 0, 128})
	if err := png.Encode(&transparent, glass); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, mediaType string
		sent            []byte
		w, h            int
	}{
		{"wide", "image/jpeg", asJPEG(t, quarters(2500, 1001)), 1024, 410},
		{"wide and turned", "image/jpeg", withEXIF(asJPEG(t, quarters(2500, 1001)), 6), 410, 1024},
		{"one sees through it", "image/png", transparent.Bytes(), 512, 1024},
		{"a line", "image/jpeg", asJPEG(t, quarters(5000, 1)), 1024, 1},
		{"small", "image/jpeg", asJPEG(t, quarters(3, 2)), 3, 2},
	} {
		f, err := h.Add(t.Context(), ada, fleet.AvatarFile, "", c.sent)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		kept, err := h.read(Reader{User: ada}, f.ID)
		if err != nil {
			t.Fatal(err)
		}
		config, _, err := image.DecodeConfig(bytes.NewReader(kept))
		if err != nil || config.Width != c.w || config.Height != c.h || f.MediaType != c.mediaType {
			t.Errorf("%s: kept as %s, %d × %d, error %v", c.what, f.MediaType, config.Width, config.Height, err)
		}
	}
}

// bomb is a PNG of some bytes that says that it is as large as it may be said.
func bomb(w, h uint32) []byte {
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("IHDR"), w), h)
	header = append(header, 8, 6, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	out = append(out, header...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(header))
}

func TestWhatIsNoPictureIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, schematest.Plain(t), newFolder(t))
	ada := h.user(fleet.RoleRider)
	good := asJPEG(t, quarters(64, 64))
	for what, c := range map[string]struct {
		sent []byte
		want fleet.Code
	}{
		"nothing":               {nil, fleet.CodeMediaType},
		"text":                  {[]byte("hello"), fleet.CodeMediaType},
		"a page":                {[]byte("<html><script>alert(1)</script>"), fleet.CodeMediaType},
		"a drawing with script": {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`), fleet.CodeMediaType},
		"a program":             {[]byte("\x7fELF\x02\x01\x01"), fleet.CodeMediaType},
		"another picture":       {[]byte("GIF89a\x01\x00\x01\x00"), fleet.CodeMediaType},
		"a document":            {pdf(100), fleet.CodeMediaType},
		"half a picture":        {good[:len(good)/2], fleet.CodeInvalid},
		"a picture's beginning": {good[:4], fleet.CodeInvalid},
		"25 million and some":   {bomb(5001, 5000), fleet.CodeTooLarge},
		"a bomb":                {bomb(1<<31-1, 1<<31-1), fleet.CodeInvalid}, // the decoder refuses it
		"a long bomb":           {bomb(1<<30, 1), fleet.CodeTooLarge},
		"an unfinished bomb":    {bomb(5000, 5000), fleet.CodeInvalid},
		"too many bytes":        {append(good, make([]byte, 5<<20)...), fleet.CodeTooLarge},
	} {
		if _, err := h.Add(t.Context(), ada, fleet.AvatarFile, "", c.sent); err == nil || fleet.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
	if left := h.blobs(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	_, err := h.Add(t.Context(), ada, "evidence", "", good)
	wantCode(t, err, fleet.CodeInvalid)
}

// What hides behind a picture, or in it, is not kept.
func TestNothingRidesOnAPicture(t *testing.T) {
	t.Parallel()
	h := newHouse(t, schematest.Plain(t), newFolder(t))
	ada := h.user(fleet.RoleRider)
	f, err := h.Add(t.Context(), ada, fleet.AvatarFile, "", append(asJPEG(t, quarters(64, 64)), "PK\x03\x04 <script>"...))
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := h.read(Reader{User: ada}, f.ID); err != nil || bytes.Contains(kept, []byte("script")) {
		t.Errorf("kept %q, error %v", kept, err)
	}
}

func FuzzPicture(f *testing.F) {
	f.Add(bomb(3, 3))
	var small bytes.Buffer
	if err := jpeg.Encode(&small, quarters(8, 8), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(withEXIF(small.Bytes(), 6))
	h := New(Config{})
	f.Fuzz(func(t *testing.T, content []byte) {
		kept, _, err := h.picture(t.Context(), content, 16, 1<<20)
		if err == nil && (bytes.Contains(kept, []byte("Exif")) || len(kept) > 1<<20) {
			t.Errorf("kept %d bytes", len(kept))
		}
	})
}
