"""Which bundles a process may load: by digest, by signature, and whether it may unpickle one that is named by path."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from windlass.core.bundle import Bundle, find_bundle_folder
from windlass.errors import IntegrityError, SettingsError
from windlass.settings import Settings


@dataclass(frozen=True)
class BundleTrust:
    """Requirements that a bundle meets before its model is loaded; without any, every intact bundle does.

    `digests` are those of bundles named by path. `verify_key` is the public key of whoever signs.
    """

    digests: tuple[str, ...] = ()
    allow_pickle: bool = False
    verify_key: Path | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "BundleTrust":
        """Returns the requirements that the settings name."""
        return cls(settings.digests, settings.allow_pickle, settings.verify_key)

    def require(self, bundle: Bundle) -> None:
        """Checks the signature, where one is required. Raises IntegrityError, SettingsError."""
        if self.verify_key is not None:
            # cryptography, which servers without signatures never need
            from windlass.core.bundle_signature import verify_signature

            verify_signature(bundle, self.verify_key)

    def open(self, folder: Path, is_approved: Callable[[Bundle], bool]) -> Bundle:
        """Opens the bundle in a folder, or in its `artifacts`, and checks it as `require_of_path` does.

        Raises BundleError, IntegrityError, SettingsError.
        """
        bundle = Bundle.open(find_bundle_folder(folder))
        self.require_of_path(bundle, is_approved=is_approved(bundle))
        return bundle

    def require_of_path(self, bundle: Bundle, *, is_approved: bool = False) -> None:
        """Checks a bundle that a person named by path. Raises IntegrityError, SettingsError.

        The manifest of a folder vouches for its files, but nothing for the manifest: whoever can write there chooses
        the pickle, which is code. Where `is_approved`, a decision of the registry names the digest.
        """
        if self.digests and bundle.digest not in self.digests:
            raise IntegrityError(
                f"Bundle {bundle.path} has the digest {bundle.digest[:12]}…, which is not the one of --digest"
                " (WINDLASS_DIGEST). Restore the bundle, or name the digest that its training printed."
            )
        if bundle.manifest.engine.name == "native" and not (self.allow_pickle or is_approved):
            raise SettingsError(
                f"Bundle {bundle.path} holds no compiled model, so that its pickle would run, which is code of whoever"
                " wrote the folder. If you trust it, add --allow-pickle (allow_pickle=True, WINDLASS_ALLOW_PICKLE=on),"
                " best with --digest; or serve an approved version of the registry."
            )
        self.require(bundle)


ANY_BUNDLE = BundleTrust()  # every intact bundle by ONNX, and every approved one
