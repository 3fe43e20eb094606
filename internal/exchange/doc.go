// Package exchange takes in files of records: what agencies can send today
// without changing their systems. A file is read as it arrives and its rows go
// through the same pipeline as single records; good rows go in, bad ones are
// listed, and sending the file again imports nothing twice.
//
// service.go are the RPCs, job.go is the state of one import; cohort.go reads
// school cohorts and practices.go the register of GP practices. Package csvfile
// below reads the files themselves.
package exchange
