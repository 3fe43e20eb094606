package pg

// What the tests, which cannot be in this package because pgtest imports it, reach.
var (
	MigrateFS         = migrateFS
	SchemaVersionFS   = schemaVersionFS
	SocketHostToQuery = socketHostToQuery
	DebianBinDirs     = &debianBinDirs
	SharedBuffers     = sharedBuffers
)

const MaxLog = maxLog

// ReadPidFile returns what the tests look at.
func ReadPidFile(pgdata string) (pid int, socketDir string) {
	p := readPidFile(pgdata)
	return p.pid, p.socketDir
}
