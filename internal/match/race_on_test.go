//go:build race

package match

// raceEnabled says that the race detector slows this test down about tenfold.
const raceEnabled = true
