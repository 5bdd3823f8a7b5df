"""The desk where long work is asked for, watched and cancelled. Workers carry it out: workflows."""
