@reg.exe add HKCU\Software\Example /f
