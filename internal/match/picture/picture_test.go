package picture

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"irthub/internal/match"
)

func explained() *match.Result {
	a := match.Prepare(match.Person{GivenName: "Jack", FamilyName: "Thornley", DateOfBirth: "2014-03-09", Sex: "M"})
	b := match.Prepare(match.Person{GivenName: "Jack", FamilyName: "Osgood", DateOfBirth: "2014-03-09", Sex: "M"})
	r := match.Default().Explain(&a, &b)
	return &r
}

func TestStepsAddUp(t *testing.T) {
	t.Parallel()
	r := explained()
	steps := Steps(r)
	for i := 1; i < len(steps)-1; i++ {
		if steps[i].From != steps[i-1].To {
			t.Errorf("step %d starts at %v, the one before ends at %v", i, steps[i].From, steps[i-1].To)
		}
	}
	if last := steps[len(steps)-1]; math.Abs(last.To-r.Weight) > 1e-9 {
		t.Errorf("steps end at %v, the weight is %v", last.To, r.Weight)
	}
}

func TestWaterfall(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := WriteWaterfall(&b, explained()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"given name: same", "family name: different", "together: ", "+++", "---"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(strings.ToLower(b.String()), "thornley") {
		t.Error("a name is in the picture")
	}
}

func TestHistogramBands(t *testing.T) {
	t.Parallel()
	h := NewHistogram([]float64{-100, -3.5, 1, 1, 100}, match.Default().Parameters())
	if h.Count[0] != 1 || h.Count[len(h.Count)-1] != 1 || h.Count[20] != 2 {
		t.Errorf("%v", h.Count)
	}
	if h.band(0) != match.BandNew || h.band(20) != match.BandReview || h.band(len(h.Count)-1) != match.BandLink {
		t.Errorf("bands %v %v %v", h.band(0), h.band(20), h.band(len(h.Count)-1))
	}
	var b strings.Builder
	if err := h.Write(&b); err != nil || !strings.Contains(b.String(), "REVIEW") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestDrawingsAreXML(t *testing.T) {
	t.Parallel()
	h := NewHistogram([]float64{-3, 8}, match.Default().Parameters())
	for name, write := range map[string]func(io.Writer) error{
		"waterfall": func(w io.Writer) error { return WriteWaterfallSVG(w, explained()) },
		"histogram": h.WriteSVG,
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		bars := 0
		d := xml.NewDecoder(strings.NewReader(b.String()))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
				bars++
			}
		}
		if bars < 4 {
			t.Errorf("%s: %d bars", name, bars)
		}
	}
}
