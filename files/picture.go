package files

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"net/http"

	"github.com/bep/imagemeta"
	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/webp"

	"armora/fleet"
)

// maxPixels is how many pixels a picture may have, and how many are decoded at a
// time, whatever the number of pictures: a few kilobytes can say that they are
// gigabytes. Phones take pictures of up to 24 million. A progressive JPEG takes
// some 15 bytes a pixel while it is decoded.
const maxPixels = 25_000_000

const jpegQuality = 88

// codec reads a kind of picture.
type codec struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	meta   imagemeta.ImageFormat
}

// codecs are those of what may be sent, by what the content looks like. They are
// named here, and not found in image's registry, so that no import adds another.
var codecs = map[string]codec{
	"image/jpeg": {jpeg.DecodeConfig, jpeg.Decode, imagemeta.JPEG},
	"image/png":  {png.DecodeConfig, png.Decode, imagemeta.PNG},
	"image/webp": {webp.DecodeConfig, webp.Decode, imagemeta.WebP},
}

// picture decodes a picture and makes it anew, upright, no side longer than the
// given, and no larger than size bytes: pixels are all that is left of it.
func (f *Files) picture(ctx context.Context, content []byte, side, size int) ([]byte, string, error) {
	codec, known := codecs[http.DetectContentType(content)]
	if !known {
		return nil, "", &fleet.Error{Code: fleet.CodeMediaType, Message: "a file for this purpose is JPEG, PNG or WebP; a document may be PDF as well"}
	}
	config, err := codec.config(bytes.NewReader(content))
	if err != nil {
		return nil, "", badPicture(err)
	}
	if config.Width <= 0 || config.Height <= 0 || config.Width > maxPixels/config.Height {
		return nil, "", &fleet.Error{Code: fleet.CodeTooLarge, Message: "the picture has more than 25 million pixels"}
	}
	pixels := int64(config.Width) * int64(config.Height)
	if err := f.pixels.Acquire(ctx, pixels); err != nil {
		return nil, "", &fleet.Error{Code: fleet.CodeUnavailable, Message: "too many pictures are being read: try again", Err: err}
	}
	defer f.pixels.Release(pixels)
	decoded, err := codec.decode(bytes.NewReader(content))
	if err != nil {
		return nil, "", badPicture(err)
	}
	return encode(redraw(decoded, orientation(content, codec.meta), side), size)
}

func badPicture(err error) error {
	return &fleet.Error{Code: fleet.CodeInvalid, Message: "the picture cannot be read: it is damaged", Err: err}
}

// orientation is how a camera was held, by EXIF's numbers: 1 is upright. What
// cannot be read is taken for upright.
func orientation(content []byte, format imagemeta.ImageFormat) int {
	held := 1
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(content), ImageFormat: format, Sources: imagemeta.EXIF,
		ShouldHandleTag: func(tag imagemeta.TagInfo) bool { return tag.Tag == "Orientation" && tag.Namespace == "IFD0" },
		HandleTag: func(tag imagemeta.TagInfo) error {
			if n, ok := tag.Value.(uint16); ok && n >= 1 && n <= 8 {
				held = int(n)
			}
			return nil
		},
	})
	if err != nil {
		return 1
	}
	return held
}

// redraw turns a picture upright and makes it smaller if a side is longer than
// the given, in one go.
func redraw(from image.Image, held, side int) *image.RGBA {
	bounds := from.Bounds() // which the decoders of codecs all begin at (0, 0)
	w, h := float64(bounds.Dx()), float64(bounds.Dy())
	// By rows: a pixel at (x, y) goes to (ax + by + c, dx + ey + f).
	turn := [...]f64.Aff3{
		1: {1, 0, 0, 0, 1, 0},
		2: {-1, 0, w, 0, 1, 0},
		3: {-1, 0, w, 0, -1, h},
		4: {1, 0, 0, 0, -1, h},
		5: {0, 1, 0, 1, 0, 0},
		6: {0, -1, h, 1, 0, 0},
		7: {0, -1, h, -1, 0, w},
		8: {0, 1, 0, -1, 0, w},
	}[held]
	if held >= 5 {
		w, h = h, w
	}
	scale := min(1, float64(side)/max(w, h))
	across, down := max(1, math.Round(w*scale)), max(1, math.Round(h*scale))
	for i := range 3 {
		turn[i] *= across / w
		turn[3+i] *= down / h
	}
	to := image.NewRGBA(image.Rect(0, 0, int(across), int(down)))
	draw.BiLinear.Transform(to, turn, from, bounds, draw.Src, nil)
	return to
}

// encode writes a picture as JPEG, or as PNG if one sees through it and that is
// not too large.
func encode(picture *image.RGBA, size int) ([]byte, string, error) {
	var out bytes.Buffer
	if !picture.Opaque() {
		if err := png.Encode(&out, picture); err != nil {
			return nil, "", err
		}
		if out.Len() <= size {
			return out.Bytes(), "image/png", nil
		}
		out.Reset()
	}
	for quality := jpegQuality; ; quality -= 20 {
		if err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: quality}); err != nil {
			return nil, "", err
		}
		if out.Len() <= size || quality < 20 {
			return out.Bytes(), "image/jpeg", nil
		}
		out.Reset()
	}
}
