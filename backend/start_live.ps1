# Start the service in the background: the same as .venv\Scripts\qt start
$qt = Join-Path (Split-Path -Parent $PSScriptRoot) ".venv\Scripts\qt.exe"
if (-not (Test-Path $qt)) {
    [Console]::Error.WriteLine("Quantum Trader is not installed yet. Run: py scripts\setup.py")
    exit 1
}
& $qt start @args
exit $LASTEXITCODE
