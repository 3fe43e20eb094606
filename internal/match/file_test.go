package match

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strings"
	"testing"
)

// given is a model as irthub match train leaves it.
func given(change func(*Parameters)) Parameters {
	p := defaultParameters()
	p.Version, p.Records = "area-2026", 5000
	if change != nil {
		change(&p)
	}
	return p
}

// What is written is read as it was, a learnt model too, and the same each time.
func TestModelFile(t *testing.T) {
	t.Parallel()
	learnt, err := Train("of febrl 1", Default().Parameters(), featuresOf(load(t, "febrl1.csv", febrl)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Parameters{given(nil), learnt} {
		m, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		var one, two bytes.Buffer
		if err := m.Write(&one); err != nil {
			t.Fatal(err)
		}
		read, err := Read(bytes.NewReader(one.Bytes()))
		if err != nil {
			t.Fatalf("%s: %v", p.Version, err)
		}
		if err := read.Write(&two); err != nil || one.String() != two.String() {
			t.Errorf("%s: written otherwise the second time, error %v", p.Version, err)
		}
		a, b := Prepare(jack(nil)), Prepare(jack(func(p *Person) { p.GivenName = "Jak" }))
		if x, y := m.Score(&a, &b), read.Score(&a, &b); x.Weight != y.Weight {
			t.Errorf("%s: it weighs %v, and read again %v", p.Version, x.Weight, y.Weight)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	written := func(change func(file map[string]any)) string {
		text, err := json.Marshal(modelFile{modelSchema, given(nil)})
		if err != nil {
			t.Fatal(err)
		}
		var file map[string]any
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		change(file)
		if text, err = json.Marshal(file); err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	level := func(file map[string]any, field, level string) []any {
		return file["levels"].(map[string]any)[field].(map[string]any)[level].([]any)
	}
	for name, c := range map[string]struct{ text, says string }{
		"nothing":          {"", "no JSON"},
		"a table":          {"id,first\n1,Secret\n", "no JSON"},
		"a list":           {"[1]", "no JSON object"},
		"broken off":       {written(func(map[string]any) {})[:3000], "no JSON"},
		"something behind": {written(func(map[string]any) {}) + "{}", "no JSON"},
		"another object":   {`{"openapi":"3.1.0"}`, "no schema"},
		"without a schema": {written(func(f map[string]any) { delete(f, "schema") }), "earlier release"},
		"another schema":   {written(func(f map[string]any) { f["schema"] = 2; f["classes"] = 5 }), "schema 2, this one reads 1"},
		"an unknown key":   {written(func(f map[string]any) { f["speed"] = 2 }), "speed"},
		"an unknown field": {written(func(f map[string]any) { f["levels"].(map[string]any)["shoe_size"] = map[string]any{} }), "shoe_size"},
		"a field less":     {written(func(f map[string]any) { delete(f["levels"].(map[string]any), "sex") }), `"sex"`},
		"a level less":     {written(func(f map[string]any) { delete(f["levels"].(map[string]any)["upn"].(map[string]any), "same") }), "missing"},
		"a class less":     {written(func(f map[string]any) { f["levels"].(map[string]any)["upn"].(map[string]any)["same"] = []any{0.5, 0.5} }), "(0, 1]"},
		"above one":        {written(func(f map[string]any) { level(f, "sex", "same")[0] = 1.5 }), "(0, 1]"},
		"below zero":       {written(func(f map[string]any) { level(f, "sex", "same")[0] = -0.5 }), "(0, 1]"},
		"too much in sum":  {written(func(f map[string]any) { level(f, "family_name", "different")[3] = 0.5 }), "add up to"},
		"no probabilities": {written(func(f map[string]any) { level(f, "other", "same_from_one_place")[1] = 0.2 }), "add up to"},
		"absurd priors":    {written(func(f map[string]any) { f["prior"] = []any{0.9, 0.9, 0.9, 0.9} }), "priors add up"},
		"a text":           {written(func(f map[string]any) { f["link"] = "sure" }), "link"},
		"bands crossed":    {written(func(f map[string]any) { f["review"] = 0.999 }), "review <= link"},
		"margin":           {written(func(f map[string]any) { f["margin"] = -1 }), "margin"},
		"records":          {written(func(f map[string]any) { delete(f, "records") }), "how many records"},
		"no version":       {written(func(f map[string]any) { f["version"] = "" }), "version"},
		"of an index":      {written(func(f map[string]any) { f["version"] = "area+index-3" }), "version"},
		"of a built-in":    {written(func(f map[string]any) { f["version"] = "hand-1" }), "built-in"},
		"a share":          {written(func(f map[string]any) { f["frequencies"].(map[string]any)["given_names"] = map[string]any{"secret": 7} }), "share"},
		"of other names":   {written(func(f map[string]any) { f["frequencies"].(map[string]any)["other_family"] = 0 }), "share"},
	} {
		_, err := Read(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.says)
		} else if strings.Contains(strings.ToLower(err.Error()), "secret") || !strings.Contains(err.Error(), "train") {
			t.Errorf("%s: it tells a value, or not what to do: %v", name, err)
		}
	}
	if _, err := Read(io.LimitReader(zeros{}, 1<<40)); err == nil || !strings.Contains(err.Error(), "larger than 16 MB") {
		t.Errorf("of a terabyte it says %v", err)
	}
}

// zeros never end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// An index does not go by what would make one child of two.
func TestCheckForIndex(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Parameters)
		says   string
	}{
		"as it is":       {nil, ""},
		"of few records": {func(p *Parameters) { p.Records = 6 }, "6 records"},
		"links too soon": {func(p *Parameters) { p.Link = 0.5 }, "0.9"},
		"no twins":       {func(p *Parameters) { p.Prior[Twin] = 1e-12 }, "twins"},
		"given names":    {func(p *Parameters) { p.Levels["given_name"]["same"] = [classes]float64{0.001, 0.83, 0.001, 0.005} }, "given_name"},
		"dates of birth": {func(p *Parameters) { p.Levels["date_of_birth"]["same"] = [classes]float64{0.001, 0.9, 0.001, 0.9} }, "date_of_birth"},
	} {
		m, err := New(given(c.change))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.CheckForIndex(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.says)
		}
	}
}

// A model learnt from a short file, where any two records are likely one child's, expects
// of an index what the built-in model does, and of a file as large as the index what it
// learnt there.
func TestExpectOfALearntModel(t *testing.T) {
	t.Parallel()
	prior := func(records int, same float64, children int) float64 {
		p := given(func(p *Parameters) {
			p.Records, p.Prior = records, [classes]float64{same, same / 20, same, 1 - 2.05*same}
		})
		p.Expect(children)
		if sum := p.Prior[0] + p.Prior[1] + p.Prior[2] + p.Prior[3]; math.Abs(sum-1) > 1e-9 {
			t.Errorf("priors add up to %v", sum)
		}
		return p.Prior[SameChild]
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(math.Log2(got/want)) > 0.1 {
			t.Errorf("%s: %.3g, want %.3g", what, got, want)
		}
	}
	// Each record has one other of its child: half as many children as records.
	near("a thousand records", prior(1000, 1.0/999, 0), 0.5/100_000)
	near("a thousand records, a million children", prior(1000, 1.0/999, 1_000_000), 0.5/1_000_000)
	near("as many children as the file", prior(400_000, 1.0/399_999, 200_000), 1.0/399_999)
	near("fewer than the file", prior(400_000, 1.0/399_999, 100_000), 2.0/399_999)
}
