package exchange_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkCohort imports 5,000 new children, and again when they are known.
func BenchmarkCohort(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var file bytes.Buffer
	file.WriteString("CHILD_FIRST_NAME,CHILD_LAST_NAME,CHILD_DATE_OF_BIRTH,CHILD_ADDRESS_LINE_1,CHILD_TOWN,CHILD_POSTCODE,PARENT_1_NAME,PARENT_1_PHONE\n")
	const rows = 5000
	word := func() string {
		w := []byte("Baaaaa")
		for i := 1; i < len(w); i++ {
			w[i] = byte('a' + random.IntN(26))
		}
		return string(w)
	}
	for range rows {
		family := word()
		fmt.Fprintf(&file, "%s,%s,%d-%02d-%02d,%d %s Lane,Norwich,NR%d %d%c%c,%s %s,07700 9%05d\n", word(), family,
			2008+random.IntN(17), 1+random.IntN(12), 1+random.IntN(28), 1+random.IntN(99), word(),
			1+random.IntN(20), 1+random.IntN(9), "ABDEFGHJLN"[random.IntN(10)], "ABDEFGHJLN"[random.IntN(10)],
			word(), family, random.IntN(100_000))
	}
	for _, again := range []bool{false, true} {
		b.Run(fmt.Sprintf("again=%v", again), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				h := newHub(b)
				if again {
					h.send(cohort, file.Bytes())
				}
				b.StartTimer()
				if done := h.send(cohort, file.Bytes()); done.GetRejected() > 0 {
					b.Fatal(done)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/rows, "µs/row")
		})
	}
}
