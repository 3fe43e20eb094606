package match

// weighSecond looks at the second-best child. A record that fits two is
// linked to the better by a clear margin only, unless the two are likely one
// child held twice: then neither link is wrong. A person is asked about the second
// then, and also where the record would be linked to it if the first were not there.
func (m *Model) weighSecond(d *Decision, first, second *evidence, candidates []Candidate) {
	d.RunnerUp = Alternative{Child: second.child, Member: second.best, Weight: second.result.Weight, Probability: second.result.Probability}
	if d.Band != BandLink || second.band == BandNew {
		return
	}
	between := m.Score(candidates[first.best].Features, candidates[second.best].Features)
	two := between.Levels[FieldNHSNumber] == different
	d.SuspectedDuplicate = !two && between.Probability >= sureEnough
	d.RunnerUp.Fits = d.SuspectedDuplicate || !two && second.band == BandLink
	if !d.SuspectedDuplicate && first.rule != RuleSameNHSNumber && first.result.Weight-second.result.Weight < m.parameters.Margin {
		d.Band, d.Rule = BandReview, RuleAmbiguous
	}
}

// askSecond has a person asked about the second child too where the first is no surer
// than that it may be the record's and the second may be so as well.
func (d *Decision) askSecond(second *evidence) {
	d.RunnerUp.Fits = d.RunnerUp.Fits || d.Band == BandReview && second.band != BandNew
	switch {
	case !d.RunnerUp.Fits:
	case second.band == BandLink:
		d.RunnerUp.Rule = RuleAmbiguous
	default:
		d.RunnerUp.Rule = second.rule
	}
}

// asks is how many reviews a decision raises.
func (d *Decision) asks() (n int) {
	if d.Band == BandReview {
		n++
	}
	if d.RunnerUp.Fits {
		n++
	}
	return n
}
