# Stop the service that start_live.ps1 started: the same as .venv\Scripts\qt stop
$qt = Join-Path (Split-Path -Parent $PSScriptRoot) ".venv\Scripts\qt.exe"
if (-not (Test-Path $qt)) {
    [Console]::Error.WriteLine("Quantum Trader is not installed yet. Run: py scripts\setup.py")
    exit 1
}
& $qt stop @args
exit $LASTEXITCODE
