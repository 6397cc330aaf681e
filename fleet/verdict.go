package fleet

import "fmt"

// Verdict is what the hub thinks of a point. Every verdict is stored; only OK
// moves the live map. The numbers are stored: never reuse or reorder them.
type Verdict uint8

// The verdicts.
const (
	OK             Verdict = 0 // plausible: moves the live map when it is the newest
	Inaccurate     Verdict = 1 // the device itself reports too large an error
	ImpossibleJump Verdict = 2 // cannot be reached from the last good fix
	Future         Verdict = 3 // dated later than the clocks allow
	Stale          Verdict = 4 // older than anything the live map may show
	NullIsland     Verdict = 5 // 0, 0: the receiver had no fix
	Mock           Verdict = 6 // the phone says that the position is made up
)

var verdictNames = [...]string{"ok", "inaccurate", "impossible_jump", "future", "stale", "null_island", "mock"}

// Verdicts lists every verdict in order of its number.
func Verdicts() []Verdict {
	all := make([]Verdict, len(verdictNames))
	for i := range all {
		all[i] = Verdict(i)
	}
	return all
}

func (v Verdict) String() string { return name(verdictNames[:], int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Format is the wire format that a point came in. The numbers are stored:
// never reuse or reorder them.
type Format uint8

// The formats.
const (
	FormatJSON        Format = 0 // native JSON
	FormatProtobuf    Format = 1 // native PointBatch
	FormatOwnTracks   Format = 2
	FormatTeltonika   Format = 3
	FormatFlespi      Format = 4
	FormatThingsBoard Format = 5
	FormatGeoJSON     Format = 6
	FormatOsmAnd      Format = 7
)

var formatNames = [...]string{"json", "protobuf", "owntracks", "teltonika", "flespi", "thingsboard", "geojson", "osmand"}

func (f Format) String() string { return name(formatNames[:], int(f)) }

// MarshalText implements encoding.TextMarshaler.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Format) UnmarshalText(text []byte) error {
	for i, n := range formatNames {
		if n == string(text) {
			*f = Format(i)
			return nil
		}
	}
	return fmt.Errorf("unknown format %q", text)
}

// Flags are further facts about a point, as bits. The bits are stored.
type Flags uint8

// The flags.
const (
	FlagMock       Flags = 1 << iota // the phone says that the position is made up
	FlagLate                         // arrived after a newer fix of the same device
	FlagSkewed                       // the device's clock was off, and the verdict used corrected time
	FlagQuarantine                   // dated outside what the points table takes; kept in quarantine
)

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("unknown(%d)", i)
}

// Names lists the flags that are set; nil if none is.
func (f Flags) Names() []string {
	var names []string
	for bit, name := range []string{"mock", "late", "skewed", "quarantined"} {
		if f&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	return names
}
