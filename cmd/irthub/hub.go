package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"irthub/internal/concerns"
	"irthub/internal/match"
)

// databaseURLVariable names the environment variable with the database to use
// instead of a private one. A flag would show its password to every user of the
// machine.
const databaseURLVariable = "IRTHUB_DATABASE_URL"

// poolerURLVariable names the one with a connection pooler in front of it.
const poolerURLVariable = "IRTHUB_POOLER_URL"

// concernWindowFlag is a flag of every command by which concerns may come together.
type concernWindowFlag struct {
	ConcernWindow string `name:"concern-window" placeholder:"WINDOW" default:"12w" env:"IRTHUB_CONCERN_WINDOW" help:"How near to today open concerns of several agencies about a child must have begun to escalate, in weeks or days: 12w, 90d (default: 12w). See docs/WORKING-TOGETHER.md."`
}

// window is it in days.
func (f concernWindowFlag) window() (int, error) {
	days, err := concerns.ParseWindow(f.ConcernWindow)
	if err != nil {
		return 0, usage(fmt.Errorf("--concern-window: %w", err))
	}
	return days, nil
}

// matchModelFlag is a flag of the commands that match records in a hub's index.
type matchModelFlag struct {
	MatchModel string `name:"match-model" placeholder:"FILE" env:"IRTHUB_MATCH_MODEL" type:"path" help:"Match by this model, written by irthub match train, in place of the one built in. See docs/MATCHING.md."`
}

// model is the one given, nil for none.
func (f matchModelFlag) model() (*match.Model, error) {
	if f.MatchModel == "" {
		return nil, nil
	}
	m, err := readModel("--match-model", f.MatchModel)
	if err != nil {
		return nil, err
	}
	if err := m.CheckForIndex(); err != nil {
		return nil, fmt.Errorf("--match-model %s: %w", f.MatchModel, err)
	}
	return m, nil
}

// dataFlag is a flag of every command that works on a hub's own files.
type dataFlag struct {
	Data string `placeholder:"DIR" default:"${data}" env:"IRTHUB_DATA" type:"path" help:"Directory of the hub's own files: its token key and its private PostgreSQL (default: ${data})."`
}

// logFlags are flags of the commands that log.
type logFlags struct {
	LogFormat string `enum:"auto,text,json" default:"auto" help:"Form of the log on standard error: text, json, or auto (text on a terminal)."`
	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"What is logged: debug, info, warn or error."`
}

// logger writes to standard error in the form asked for.
func (f *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readableDurations}
	file, isFile := w.(*os.File)
	onTerminal := isFile && term.IsTerminal(int(file.Fd()))
	if f.LogFormat == "text" || f.LogFormat == "auto" && onTerminal {
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return slog.New(slog.NewJSONHandler(w, options)), nil
}

// readableDurations writes 1.5s where JSON would have 1500000000.
func readableDurations(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// defaultDataDir is where a hub keeps its files if not told: the user's data
// directory or, for root, whose home PostgreSQL's user cannot enter, /var/lib/irthub.
func defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/irthub"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "irthub")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "irthub-data"
	}
	return filepath.Join(home, ".local", "share", "irthub")
}
