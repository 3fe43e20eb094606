package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"irthub/internal/svg"
)

// Measures of a plot, in pixels.
const (
	plotLeft   = 200
	plotWide   = 420
	plotRow    = 34
	plotMargin = 46
)

// bar is one line of a plot.
type bar struct {
	label  string
	value  float64
	second *float64 // drawn thinner beneath
	least  float64  // what it should reach, 0 for none
	words  string
}

// least is what each ratio should reach at least (docs/PERFORMANCE.md).
var least = map[string]float64{
	"get_vs_pgx": 0.85, "get_vs_sync_audit": 3, "involvements_vs_pgx": 0.7, "rest_vs_grpc": 0.55,
	"submit_vs_pgx": 1, "submit_vs_statements": 1, "import_vs_copy": 0.15,
}

// WritePlots draws, for each size, ratios.SIZE.svg, the figures that have a
// reference, and latencies.SIZE.svg.
func (r *Report) WritePlots(dir string) error {
	for _, s := range r.Sizes {
		var ratios, latencies []bar
		for _, f := range s.Figures {
			if f.Reference != nil {
				ratios = append(ratios, bar{
					f.ID, f.Value, f.CPURatio, least[f.ID],
					fmt.Sprintf("%s (%s against %s %s)", plain(&f.Value), plain(&f.Absolute), plain(f.Reference), f.Unit),
				})
			}
			if f.P99 > 0 {
				latencies = append(latencies, bar{f.ID, f.P99, &f.P50, 0, fmt.Sprintf("%.1f ms (median %.1f)", f.P99, f.P50)})
			}
		}
		for _, p := range []struct {
			name, title string
			bars        []bar
		}{
			{"ratios", "the hub by its reference; thin: by CPU; line: at least", ratios},
			{"latencies", "milliseconds that 99 of 100 calls stay within; thin: the median", latencies},
		} {
			title := fmt.Sprintf("%d children: %s", s.Children, p.title)
			path := filepath.Join(dir, fmt.Sprintf("%s.%d.svg", p.name, s.Children))
			if err := os.WriteFile(path, drawBars(title, p.bars), 0o644); err != nil { //nolint:gosec // to be looked at
				return fmt.Errorf("bench: drawing: %w", err)
			}
		}
	}
	return nil
}

// drawBars draws horizontal bars on one scale.
func drawBars(title string, bars []bar) []byte {
	greatest := 0.0
	for _, b := range bars {
		greatest = max(greatest, b.value, b.least)
		if b.second != nil {
			greatest = max(greatest, *b.second)
		}
	}
	x := func(v float64) float64 { return v / max(greatest, 1e-9) * plotWide }
	var out strings.Builder
	high := plotMargin + plotRow*len(bars) + 10
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n",
		plotLeft+plotWide+300, high)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="#fff"/><text x="12" y="26" font-size="15">%s</text>`+"\n", svg.Escaped(title))
	for i, b := range bars {
		y := plotMargin + plotRow*i
		fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end">%s</text>`, plotLeft-10, y+15, svg.Escaped(b.label))
		fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%.1f" height="14" fill="#1d70b8"/>`, plotLeft, y+2, x(b.value))
		end := b.value
		if b.second != nil {
			fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%.1f" height="6" fill="#6f9fcf"/>`, plotLeft, y+18, x(*b.second))
			end = max(end, *b.second)
		}
		if b.least > 0 {
			at := plotLeft + x(b.least)
			fmt.Fprintf(&out, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#d4351c" stroke-width="2"/>`, at, at, y-2, y+28)
			end = max(end, b.least)
		}
		fmt.Fprintf(&out, `<text x="%.1f" y="%d" fill="#505a5f">%s</text>`+"\n", plotLeft+x(end)+8, y+15, svg.Escaped(b.words))
	}
	out.WriteString("</svg>\n")
	return []byte(out.String())
}
