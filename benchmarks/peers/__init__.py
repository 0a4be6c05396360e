"""Flowmetal beside other engines, on the same machine in the same minute."""
