package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/pg/pgtest"
)

// asCommand makes the test binary be irthub itself, so that tests run the real
// program in a process of its own.
const asCommand = "IRTHUB_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// irthub is a command to be run, with nothing of the tests' environment that
// would change what it does.
func irthub(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(env, asCommand+"=1", "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir())
	return cmd
}

// output runs a command to its end.
func output(t *testing.T, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := irthub(t, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// process is a running hub.
type process struct {
	*exec.Cmd
	HTTP, GRPC, Metrics string
	log                 *bytes.Buffer // to be read after exit
	rest                *bufio.Reader
}

// serve runs irthub serve until it says that it is ready.
func serve(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	args = append([]string{"serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"}, args...)
	p := &process{Cmd: irthub(t, env, args...), log: &bytes.Buffer{}}
	p.Stderr = p.log
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(t, syscall.SIGKILL) })
	p.rest = bufio.NewReader(out)
	line, err := p.rest.ReadBytes('\n')
	if err != nil {
		_ = p.Wait()
		t.Fatalf("the hub ended: %s", p.log)
	}
	var ready struct {
		Ready               bool
		GRPC, HTTP, Metrics string
	}
	if err := json.Unmarshal(line, &ready); err != nil || !ready.Ready {
		t.Fatalf("%v: %s", err, line)
	}
	p.GRPC, p.HTTP, p.Metrics = ready.GRPC, ready.HTTP, ready.Metrics
	return p
}

// end sends a signal and waits for the exit status; -1 is death by the signal.
func (p *process) end(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if p.ProcessState == nil {
		_ = p.Process.Signal(signal)
		if more, _ := io.ReadAll(p.rest); len(more) > 0 {
			t.Errorf("more than the ready line on standard output: %s", more)
		}
		_ = p.Wait()
	}
	return p.ProcessState.ExitCode()
}

// call makes a REST call and returns its status and body.
func (p *process) call(t *testing.T, method, path, token, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.HTTP+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Irt-Purpose", "EDUCATION")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// The first five minutes with a private database, a kill, and the end.
func TestPrivateDatabase(t *testing.T) {
	t.Parallel()
	data := pgtest.DataDir(t)
	const path, body = "/v1/agencies/school-1/childRecords/1", `{"givenName":"Aoife","familyName":"O'Neill","dateOfBirth":"2015-03-04"}`
	hub := serve(t, nil, "--data", data)

	token, notice, status := output(t, nil, "token", "--data", data, "--agency", "school-1", "--role", "agency-system")
	if status != 0 || strings.Count(token, "\n") != 1 || strings.Count(token, ".") != 2 {
		t.Fatalf("irthub token: status %d, standard output %q", status, token)
	}
	if !strings.Contains(notice, "school-1") || !strings.Contains(notice, "registered as school") {
		t.Errorf("the notice is %q", notice)
	}
	token = strings.TrimSpace(token)
	if status, answer := hub.call(t, "PUT", path, token, body); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	if _, notice, status := output(t, nil, "token", "--data", data, "--agency", "school-1", "--role", "auditor"); status != 0 || notice != "" {
		t.Errorf("the second token: status %d, notice %q", status, notice)
	}

	if status := hub.end(t, syscall.SIGKILL); status != -1 {
		t.Errorf("killed: status %d", status)
	}
	hub = serve(t, nil, "--data", data)
	if status, answer := hub.call(t, "GET", path, token, ""); status != 200 || !strings.Contains(answer, "Aoife") {
		t.Errorf("after the kill: %d %s", status, answer)
	}
	if status := hub.end(t, syscall.SIGTERM); status != 0 {
		t.Errorf("SIGTERM: status %d\n%s", status, hub.log)
	}
	if _, err := os.Stat(filepath.Join(data, "postgres", "postmaster.pid")); !os.IsNotExist(err) {
		t.Errorf("its PostgreSQL still runs: %v", err)
	}

	_, notice, status = output(t, nil, "token", "--data", data, "--agency", "x", "--role", "auditor", "--kind", "police")
	if status != 0 || !strings.Contains(notice, "registered as police") {
		t.Errorf("a token without a hub: status %d, %q", status, notice)
	}
	if _, err := os.Stat(filepath.Join(data, "postgres", "postmaster.pid")); !os.IsNotExist(err) {
		t.Errorf("irthub token left its PostgreSQL running: %v", err)
	}
}

func TestGivenDatabase(t *testing.T) {
	t.Parallel()
	env := []string{"IRTHUB_DATABASE_URL=" + pgtest.EmptyURL(t), "IRTHUB_DATA=" + t.TempDir()}
	if out, errs, status := output(t, env, "migrate"); status != 0 || !strings.Contains(out, "The schema is at version") {
		t.Errorf("irthub migrate: %d %s%s", status, out, errs)
	}
	out, errs, status := output(t, env, "token", "--agency", "school-1", "--role", "agency-system")
	if status != 1 || out != "" || !strings.Contains(errs, "CreateAgency") {
		t.Errorf("a token for an unknown agency: status %d, %q, %q; want it refused", status, out, errs)
	}
	// The first operator of a hub is let in, and registers the others.
	first, errs, status := output(t, env, "token", "--agency", "council", "--role", "hub-operator")
	if status != 0 || !strings.Contains(errs, "registered as hub-operator") {
		t.Fatalf("the first operator's token: status %d, %q", status, errs)
	}
	if _, errs, status := output(t, env, "token", "--agency", "other", "--role", "hub-operator"); status != 1 {
		t.Errorf("a second operator registered itself: status %d, %q", status, errs)
	}
	hub := serve(t, env)
	status, answer := hub.call(t, "POST", "/v1/agencies?agencyId=school-1", strings.TrimSpace(first),
		`{"displayName":"School","kind":"AGENCY_KIND_SCHOOL"}`)
	if status != 200 {
		t.Errorf("the operator registers a school: %d %s", status, answer)
	}
	if status, answer := hub.call(t, "GET", "/readyz", "", ""); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	if status := hub.end(t, syscall.SIGINT); status != 0 {
		t.Errorf("SIGINT: status %d\n%s", status, hub.log)
	}
}

// A file that is being uploaded when the hub is told to stop goes in to its end,
// while nobody new is let in.
func TestDrain(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	school := &irtv1.Agency{Name: "agencies/school-1", DisplayName: "School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL}
	pool := pgtest.Open(t, url)
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, []*irtv1.Agency{school}); err != nil {
		t.Fatal(err)
	}
	env := []string{"IRTHUB_DATABASE_URL=" + url, "IRTHUB_DATA=" + t.TempDir()}
	token, errs, status := output(t, env, "token", "--agency", "school-1", "--role", "agency-system")
	if status != 0 {
		t.Fatal(errs)
	}
	hub := serve(t, env)
	body, rest := io.Pipe()
	answer := make(chan string, 1)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+hub.HTTP+"/v1/agencies/school-1/imports?format=school-cohort", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	r.Header.Set("Content-Type", "text/csv")
	go func() {
		defer close(answer)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	_, _ = io.WriteString(rest, "CHILD_FIRST_NAME,CHILD_LAST_NAME,CHILD_DATE_OF_BIRTH,CHILD_POSTCODE\nAda,Holt,2015-03-04,NR1 3JU\n")
	for begun := false; !begun; {
		if err := pool.QueryRow(t.Context(), "SELECT count(*) > 0 FROM imports").Scan(&begun); err != nil {
			t.Fatal(err)
		}
	}
	_ = hub.Process.Signal(syscall.SIGTERM)
	for closed := false; !closed; {
		conn, err := net.Dial("tcp", hub.HTTP)
		if closed = err != nil; !closed {
			_ = conn.Close()
		}
	}
	_, _ = io.WriteString(rest, "Ben,Holt,2016-03-04,NR1 3JU\n")
	_ = rest.Close()
	if got := strings.ReplaceAll(<-answer, " ", ""); !strings.Contains(got, `"accepted":2`) {
		t.Errorf("the upload was answered %s", got)
	}
	if status := hub.end(t, syscall.Signal(0)); status != 0 {
		t.Errorf("status %d\n%s", status, hub.log)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	env := []string{"IRTHUB_DATABASE_URL=" + pgtest.URL(t), "IRTHUB_DATA=" + t.TempDir()}
	if _, errs, status := output(t, env, "serve", "--grpc-addr", "0.0.0.0:0"); status != 1 || !strings.Contains(errs, "--tls-cert") {
		t.Errorf("plain text for others: status %d, %s; want it refused", status, errs)
	}
	hub := serve(t, env, "--grpc-addr", "0.0.0.0:0", "--http-addr", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key)
	_, port, _ := net.SplitHostPort(hub.HTTP)
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := client.Get("https://127.0.0.1:" + port + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("REST over TLS: %d", resp.StatusCode)
	}

	_, port, _ = net.SplitHostPort(hub.GRPC)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ca string
		ok bool
	}{{cert, true}, {"", false}} {
		flags := clientFlags{Addr: "127.0.0.1:" + port, CAFile: tt.ca, TokenFile: tokenFile}
		conn, err := flags.dial("")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err = irtv1.NewStandardServiceClient(conn).GetStandard(ctx, &irtv1.GetStandardRequest{})
		cancel()
		_ = conn.Close()
		if (err == nil) != tt.ok {
			t.Errorf("gRPC with CA file %q: %v", tt.ca, err)
		}
	}
}

// certificate makes a certificate for this machine and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// What scripts rely on of commands that need no hub.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, tt := range []struct {
		name        string
		args        []string
		status      int
		stdout, err string // parts of them; standard output is empty on failure
	}{
		{"help", []string{"--help"}, 0, "irthub serve", ""},
		{"help of a command", []string{"token", "--help"}, 0, "Examples:", ""},
		{"version", []string{"version"}, 0, "irthub ", ""},
		{"standard", []string{"standard"}, 0, "NHS_NUMBER_CHECK_DIGIT", ""},
		{"standard as JSON", []string{"standard", "--json"}, 0, `"ruleId": "NHS_NUMBER_CHECK_DIGIT"`, ""},
		{"nothing", nil, 2, "", "expected one of"},
		{"unknown command", []string{"bogus"}, 2, "", "bogus"},
		{"unknown flag", []string{"serve", "--bogus"}, 2, "", "--bogus"},
		{"concern window", []string{"serve", "--data", data, "--concern-window", "12m"}, 2, "", "12w"},
		{"missing flag", []string{"token", "--role", "auditor"}, 2, "", "--agency"},
		{"unknown role", []string{"token", "--data", data, "--agency", "a", "--role", "king"}, 2, "", "agency-system"},
		{"bad agency", []string{"token", "--data", data, "--agency", "../a", "--role", "auditor"}, 2, "", "letters, digits"},
		{"too long", []string{"token", "--data", data, "--agency", "a", "--role", "auditor", "--ttl", "25h"}, 2, "", "24h"},
		{"bad kind", []string{"token", "--data", data, "--agency", "a", "--role", "auditor", "--kind", "zoo"}, 2, "", "gp-practice"},
		{"no practitioner", []string{"token", "--data", data, "--agency", "a", "--role", "practitioner"}, 2, "", "practitioner"},
		{"address without port", []string{"serve", "--data", data, "--grpc-addr", "127.0.0.1"}, 1, "", "HOST:PORT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, status := output(t, nil, tt.args...)
			if status != tt.status || !strings.Contains(out, tt.stdout) || !strings.Contains(errs, tt.err) {
				t.Errorf("status %d, standard output %.300q, standard error %.300q", status, out, errs)
			}
			if status != 0 && out != "" {
				t.Errorf("failed with standard output %q", out)
			}
		})
	}
	if entries, err := os.ReadDir(filepath.Join(data, "postgres")); err == nil {
		t.Errorf("a wrong command line made a database: %v", entries)
	}
}

// Every setting of a hub is in docs/OPERATIONS.md.
func TestSettingsAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	help, errs, status := output(t, nil, "serve", "--help")
	settings := regexp.MustCompile(`IRTHUB_[A-Z_]+`).FindAllString(help, -1)
	if status != 0 || len(settings) < 10 {
		t.Fatalf("status %d, %q, %s", status, settings, errs)
	}
	for _, name := range settings {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("%s is not in the table of settings", name)
		}
	}
}

func TestGuessKind(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"school-1": "school", "gp-D82001": "gp-practice", "NHS-trust": "health-trust", "social-care": "social-care", "csc": "social-care",
		"police-norfolk": "police", "yot": "youth-offending-team", "youth-club": "youth-service", "hub": "hub-operator", "barnardos": "voluntary-community",
	} {
		if got := kindText(guessKind(id)); got != want {
			t.Errorf("%s is guessed to be %s, want %s", id, got, want)
		}
	}
}
