// Irthub is the information hub of a local authority: the index of children,
// the agencies and practitioners involved with each, and the routes between them.
// This is its one binary: server, administration and client.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // days are England's, also on a machine that knows no time zones

	"github.com/alecthomas/kong"
)

// Exit statuses, which scripts may rely on.
const (
	exitOK       = 0
	exitFailed   = 1 // it could not be done
	exitUsage    = 2 // the command line is wrong
	exitRejected = 3 // an import went in, but for rows that were rejected
	exitNotWhole = 4 // what was checked is not as it should be
)

// cli is the command line. Each command is a struct of its own, in a file of its
// own name, with a method Run.
type cli struct {
	// Administration, on the machine of the hub.
	Serve     serveCommand     `cmd:"" help:"Run a hub." group:"Hub"`
	Token     tokenCommand     `cmd:"" help:"Print a token to call the hub with." group:"Hub"`
	Migrate   migrateCommand   `cmd:"" help:"Bring the schema of the database up to date." group:"Hub"`
	Retention retentionCommand `cmd:"" help:"Archive and purge what has been kept long enough." group:"Hub"`
	Audit     auditCommand     `cmd:"" help:"The access log: check it, list it, keep its checkpoints." group:"Hub"`

	// Clients of a hub, which talk gRPC to it: see dial.go.
	Import   importCommand   `cmd:"" help:"Import a file of records." group:"Use of a hub"`
	Export   exportCommand   `cmd:"" help:"Get an agency's own records back, or the accesses to a child." group:"Use of a hub"`
	Timeline timelineCommand `cmd:"" help:"What happened to a child in one list, as text or drawn." group:"Use of a hub"`
	Demo     demoCommand     `cmd:"" help:"Load a believable area to try a hub with." group:"Use of a hub"`

	Quality qualityCommand `cmd:"" help:"What is missing, doubled or at odds in the index." group:"Use of a hub"`

	// Everything else.
	Policy   policyCommand   `cmd:"" help:"Who may see what of a child: print the policy, test it." group:"More"`
	Bench    benchCommand    `cmd:"" help:"Measure this hub on this machine." group:"More"`
	Match    matchCommand    `cmd:"" help:"Measure, learn and explain the matching of records, on files." group:"More"`
	Standard standardCommand `cmd:"" help:"Print the standard: terms, fields, rules, code lists." group:"More"`
	Version  versionCommand  `cmd:"" help:"Print the version." group:"More"`
}

const description = `The information hub of a local authority: an index of children, and of who is working with each.

  irthub serve                                  run a hub on this machine
  irthub token --agency school-1 --role agency-system
                                                a token for a school's records system
  irthub import school-cohort cohort.csv --agency school-1
                                                the children of a school
  irthub COMMAND --help                         more, with examples

Exit status: 0 done, 1 failed, 2 wrong command line, 3 some rows of an import were rejected, 4 what was checked is not whole.`

// status is an error that ends the program with an exit status of its own.
type status struct {
	error
	code int
}

func (s status) Unwrap() error { return s.error }

// usage marks an error as one of the command line.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return status{err, exitUsage}
}

// streams are the standard ones.
type streams struct {
	out io.Writer // what was asked for, and nothing else
	err io.Writer // everything said on the way
}

// say tells the user something on the way.
func (s streams) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.err, format+"\n", args...) // nobody can be told that it cannot be told
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the program ends in order; a second one ends it now.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdout, os.Stderr}))
}

// run runs one command line and returns the exit status.
func run(ctx context.Context, args []string, s streams) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("irthub"), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s),
		kong.Vars{"data": defaultDataDir(), "version": version()},
	)
	if err != nil {
		return complain(s, err, exitFailed)
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		return complain(s, fmt.Errorf("%w; irthub --help lists commands, irthub COMMAND --help their flags", err), exitUsage)
	}
	if err := parsed.Run(); err != nil {
		code := exitFailed
		if own, ok := errors.AsType[status](err); ok {
			code = own.code
		}
		return complain(s, err, code)
	}
	return exitOK
}

func complain(s streams, err error, code int) int {
	s.say("irthub: %v", err)
	return code
}
