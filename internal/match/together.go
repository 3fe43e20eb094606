package match

import "math"

// together is what the records of one child say of another record: of each field,
// how many times likelier it is than of a stranger, on the average over the child's
// records that hold it, as if the record repeated any one of them. So each record
// gives what the others lack, and one odd record among many does not bring in its like.
type together struct {
	sum     [numFields][Stranger]float64 // of the likelihood ratios to strangers, by class
	n       [numFields]float64
	nearest [numFields]Level
}

// add takes in one more record of the child.
func (t *together) add(m *Model, c *comparison) {
	for f := range numFields {
		level := c.levels[f]
		if level == NotCompared {
			continue
		}
		var bits [classes]float64
		m.add(&bits, c, f)
		t.n[f]++
		t.nearest[f] = better(t.nearest[f], level)
		for k := range t.sum[f] {
			t.sum[f][k] += math.Exp2(bits[k] - bits[Stranger])
		}
	}
}

// weigh puts one field's evidence to each class.
func (t *together) weigh(bits *[classes]float64, f Field) {
	if t.n[f] == 0 {
		return
	}
	for k := range t.sum[f] {
		bits[k] += math.Log2(t.sum[f][k] / t.n[f])
	}
}

// result is what all say. The levels stay those of the nearest record.
func (t *together) result(m *Model, nearest *Result) Result {
	bits := m.prior
	for f := range numFields {
		t.weigh(&bits, f)
	}
	return resultOf(&bits, nearest.Levels)
}

// explain is result with the waterfall, in which a field's level is that of the
// record nearest in that field.
func (t *together) explain(m *Model, nearest *Result) Result {
	r := t.result(m, nearest)
	m.waterfall(&r, &t.nearest, t.weigh)
	return r
}
