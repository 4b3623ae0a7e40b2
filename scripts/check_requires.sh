# Sourced by the checks. `requires KIND PROGRAM PACKAGE` ends the check where PROGRAM is absent: skipped with the reason,
# or failed where CHECK_REQUIRES names its KIND, as CI does.
requires() {
  if command -v "$2" >/dev/null 2>&1; then return 0; fi
  case ",${CHECK_REQUIRES:-}," in
    *",$1,"*)
      echo "check: $1 is required here (CHECK_REQUIRES), but $2 is absent; Debian has it in the package $3." >&2
      exit 1
      ;;
  esac
  echo "check: $1 skipped, because $2 is not on this machine (Debian: $3)."
  exit 0
}
