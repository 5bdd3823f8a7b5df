"""What clients of other systems say on the wire, translated to rows and back."""
