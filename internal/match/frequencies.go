package match

// Frequencies tells how common names are, so that two Zbigniew Okonkwos weigh
// more than two Mohammed Khans. Names are keyed as Name.Joined.
type Frequencies struct {
	// GivenNames and FamilyNames hold shares of all records, within (0, 1).
	GivenNames  map[string]float64 `json:"given_names,omitempty"`
	FamilyNames map[string]float64 `json:"family_names,omitempty"`
	// Texts holds shares of other text (Features.Other), OtherText that of any
	// text not listed. Zero leaves the level's own probability.
	Texts     map[string]float64 `json:"texts,omitempty"`
	OtherText float64            `json:"other_text,omitempty"`
	// Dates holds the dates of birth, YYYYMMDD, that stand in far more records
	// than chance puts there: the first of January, and what a system writes
	// when it does not know.
	Dates map[uint32]float64 `json:"dates,omitempty"`
	// FullNames holds shares by given and family name of those two together, where
	// they stand together far more often than each by itself would explain: Mohammed
	// Ali, or what a system writes for a name.
	FullNames map[string]map[string]float64 `json:"full_names,omitempty"`
	// OtherGiven and OtherFamily are the shares of a name not listed.
	OtherGiven  float64 `json:"other_given"`
	OtherFamily float64 `json:"other_family"`
}

// minShare keeps a missing or absurd entry from being infinite evidence.
const minShare = 1e-6

func (t *Frequencies) given(joined string) float64 {
	return share(t.GivenNames, joined, t.OtherGiven)
}

func (t *Frequencies) family(joined string) float64 {
	return share(t.FamilyNames, joined, t.OtherFamily)
}

// together notes how common a given and a family name are together.
func (t *Frequencies) together(given, family string, share float64) {
	if t.FullNames == nil {
		t.FullNames = map[string]map[string]float64{}
	}
	if t.FullNames[given] == nil {
		t.FullNames[given] = map[string]float64{}
	}
	t.FullNames[given][family] = share
}

func share(table map[string]float64, joined string, other float64) float64 {
	s, ok := table[joined]
	if !ok {
		s = other
	}
	return min(max(s, minShare), 1)
}

// inUse reports a given name that children are known to bear, so that it is
// unlikely to be another name misspelt.
func (t *Frequencies) inUse(joined string) bool {
	if _, ok := t.GivenNames[joined]; ok {
		return true
	}
	return groupsOf[joined] != nil
}

// inUseFamily is inUse of family names.
func (t *Frequencies) inUseFamily(joined string) bool {
	_, ok := t.FamilyNames[joined]
	return ok
}
