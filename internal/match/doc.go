// Package match decides whether two records are about the same child.
//
// It is pure: values in, values out, no clock, no randomness, no I/O, so that
// one decision can be repeated and explained years later from the stored
// records and the model version.
//
// # Method
//
// Fellegi–Sunter with four latent classes instead of two. An ordinary linker
// knows "match" and "non-match"; among children that merges twins and
// siblings, who share surname, address, telephone and (twins) date of birth.
// Here every pair is the same child, twins, siblings or strangers; each field
// is compared to one of a few levels, and each level has a probability in each
// class. The posterior over the four classes is the answer. What a field says
// about strangers is adjusted by how common the shared name is.
//
// A child of several records is compared as a whole (see together).
//
// On top stand a few hard rules (see Decide): different NHS numbers never
// link, names that could be a twin's never link without an identifier.
//
// # API
//
//	Prepare(Person) Features                 once per record: normalise
//	Keys(*Features) []uint64                 blocking keys; KeyKind(key) names the kind, Split parts narrow from broad
//	Default() *Model                         hand-set model; New(Parameters) any other
//	(*Model).Score(a, b *Features) Result    symmetric, no allocation
//	(*Model).Explain(a, b *Features) Result  the same with Fields, the waterfall
//	(*Model).Decide(*Features, []Candidate) Decision
//	(*Model).Evaluate([]Labelled, Trial) Accuracy  measure against known truth
//	Train(version, Parameters, []Features)   learn Parameters without labels
//
// How a caller finds candidates: look up the children who hold any of the
// record's narrow keys and pass all member records of those children to Decide.
// If that does not link, look up the broad keys too, and decide again on both.
//
// A caller stores Person (not Features: those are rebuilt with Prepare), the
// keys with KeyVersion, and with each decision the model Version and the
// explained Result.
package match
